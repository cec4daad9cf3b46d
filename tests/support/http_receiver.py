"""A small HTTP server that remembers who asked: in the place of healthchecks.io or a webhook."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer


@dataclass
class ReceivedRequests:
    """Requests as (method, path, body). `status`: what the next ones are answered with."""

    port: int
    status: int = 200
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/canary-5d1c"


@contextmanager
def http_receiver() -> Iterator[ReceivedRequests]:
    """The server, for as long as this lasts."""

    class RecordingHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            received.requests.append((self.command, self.path, body))
            self.send_response(received.status)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), RecordingHandler)
    received = ReceivedRequests(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
