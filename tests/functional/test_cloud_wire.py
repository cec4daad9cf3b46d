"""How the API is reached: certificates are checked, a lab's endpoint needs no proxy."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pgprovision.clients.hetzner.project import HetznerProject
from pgprovision.engine.model import Action, Probe
from pgprovision.errors import CloudError
from pgprovision.quote import sh
from pgprovision.secret import Secret
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.support.cloud_cluster import hetzner_project
from tests.support.hetzner_simulator import HetznerSimulator


@contextmanager
def impostor(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """An HTTPS server with a certificate of its own making, and the requests it received."""
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(str(self.headers))

    key, certificate = str(folder / "key"), str(folder / "certificate")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 1"
    files = sh("-keyout", key, "-out", certificate)
    Host("controller", LocalConnection).act(
        [Action("make one", f"{make} {files}")], lambda action: None
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://localhost:{server.server_port}/v1", heard
        server.shutdown()


@pytest.mark.covers("F52")
def test_false_certificate_is_refused_before_the_token_is_sent(tmp_path: Path) -> None:
    with impostor(tmp_path) as (endpoint, heard):
        cloud = HetznerProject("hetzner", Secret("token", "test"), endpoint, "lab")
        with pytest.raises(CloudError, match="the API's certificate is not valid") as caught:
            cloud.observe((Probe("servers"),))
    assert heard == []
    assert caught.value.state == "the request was not sent"


def test_endpoint_without_tls_is_requested_directly_whatever_proxy_is_set(
    sim: HetznerSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert hetzner_project(sim).observe((Probe("servers"),))[Probe("servers")].items == ()


def test_endpoint_with_a_slash_at_its_end_is_the_same(sim: HetznerSimulator) -> None:
    cloud = HetznerProject("hetzner", Secret("token-main", "test"), sim.endpoint + "/", "lab")
    cloud.observe((Probe("servers"),))
    (request,) = sim.control("GET", "/requests")["requests"]
    assert request["path"] == "/v1/servers"
