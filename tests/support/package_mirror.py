"""The lab's package mirror, whole or spoiled, served to the machines."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pgprovision.lab.manager import Lab
from pgprovision.lab.mirror import SUITE, ensure_mirror, sign_repository
from pgprovision.lab.packages import PackageCache


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *words: object) -> None: ...


@dataclass(frozen=True)
class PackageMirror:
    """A folder, and the URL by which machines reach it."""

    folder: Path
    url: str

    @property
    def key(self) -> Path:
        return self.folder / "key.asc"

    @property
    def suite(self) -> Path:
        return self.folder / "dists" / SUITE

    def resign(self, keys: Path, valid_seconds: int = 86400) -> None:
        """With a new key, made in `keys`."""
        keys.mkdir(mode=0o700)
        sign_repository(self.folder, keys, valid_seconds)


@contextmanager
def serve_mirror(lab: Lab, copy: Path) -> Iterator[PackageMirror]:
    """A copy of the mirror, to be spoiled or not."""
    shutil.copytree(ensure_mirror(PackageCache.for_user().url, print), copy)
    address = lab.config.network.host_address
    handler: Callable[..., QuietHandler] = partial(QuietHandler, directory=str(copy))
    with ThreadingHTTPServer((address, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield PackageMirror(copy, f"http://{address}:{server.server_port}")
        server.shutdown()
