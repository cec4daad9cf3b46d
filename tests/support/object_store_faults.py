"""A door in front of the lab's S3 server that misbehaves on request."""

import http.client
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SLOW_SECONDS = 20.0
ERROR_CODES = {403: "AccessDenied", 404: "NoSuchKey", 500: "InternalError", 503: "SlowDown"}


class FaultyObjectStore:
    """Everything is passed on, unless `mode` says otherwise.

    A number: that status for every request. `skewed`: as a store answers a host with a
    wrong clock. `reset`: uploads are cut off in their middle. `slow`: no answer for SLOW_SECONDS.
    """

    def __init__(self, upstream: tuple[str, int], ca: Path) -> None:
        self.upstream = upstream
        self.ca = ca
        self.mode: int | str = ""

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("Content-Length", 0))
        if self.mode == "reset" and handler.command == "PUT":
            handler.rfile.read(length // 2)
            now = struct.pack("ii", 1, 0)  # SO_LINGER: the connection is reset, not closed
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
            handler.connection.close()
            raise ConnectionAbortedError
        body = handler.rfile.read(length)
        if self.mode == "slow":
            time.sleep(SLOW_SECONDS)
        elif self.mode == "skewed":
            self._respond(handler, 403, _error("RequestTimeTooSkewed"))
        elif isinstance(self.mode, int):
            self._respond(handler, self.mode, _error(ERROR_CODES[self.mode]))
        else:
            self._forward(handler, body)

    def _forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        trusted = ssl.create_default_context(cafile=str(self.ca))
        connection = http.client.HTTPSConnection(*self.upstream, timeout=30, context=trusted)
        # As it came, its host among the rest: that is what is signed.
        connection.putrequest(
            handler.command, handler.path, skip_host=True, skip_accept_encoding=True
        )
        for name, value in handler.headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        self._respond(handler, response.status, response.read(), dict(response.getheaders()))
        connection.close()

    def _respond(
        self,
        handler: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
    ) -> None:
        handler.send_response_only(status)
        own_headers = {"content-length", "transfer-encoding", "connection"}
        for name, value in (headers or {}).items():
            if name.lower() not in own_headers:
                handler.send_header(name, value)
        length = (headers or {}).get("Content-Length") if handler.command == "HEAD" else None
        handler.send_header("Content-Length", length or str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)


def _error(code: str) -> bytes:
    now = datetime.now(UTC).isoformat()
    return f"<Error><Code>{code}</Code><Message>said at {now}</Message></Error>".encode()


@contextmanager
def faulty_object_store(
    address: str, upstream: tuple[str, int], ca: Path, certificate: Path, key: Path
) -> Iterator[tuple[FaultyObjectStore, int]]:
    """The door on `address`, and its port. `ca`: of the server behind it."""
    store = FaultyObjectStore(upstream, ca)

    class ProxyHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:
                self.close_connection = True

        def do_GET(self) -> None:
            store.handle(self)

        do_PUT = do_POST = do_DELETE = do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    class QuietServer(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = QuietServer((address, 0), ProxyHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store, server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
