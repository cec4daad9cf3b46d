"""The cluster's certificate authority: pure functions over PEM text.

A node's private key is made on the node and never leaves it; the authority signs the public half.
ECDSA P-256 throughout: every libpq and OpenSSL that PostgreSQL 13 to 18 may meet can verify it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from pgprovision.secret import Secret

if TYPE_CHECKING:
    from cryptography import x509

AUTHORITY_LIFE = timedelta(days=3650)
LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=60)
SKEW = timedelta(hours=1)  # a node's clock may be behind ours


def new_authority(cluster: str, now: datetime) -> tuple[Secret, str]:
    """A new key and its self-signed certificate, both PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{cluster} pgprovision CA"[:64])]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_usage(sign=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Secret(pem.decode(), "cluster CA key"), _pem(certificate)


def sign(
    ca_key: Secret, ca_certificate: str, public_key: str, names: Sequence[str], now: datetime
) -> str:
    """A server certificate for this public key; `names` are host names and IP addresses."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = serialization.load_pem_private_key(ca_key.reveal(), None)
    authority = x509.load_pem_x509_certificate(ca_certificate.encode())
    server_key = serialization.load_pem_public_key(public_key.encode())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(server_key, ec.EllipticCurvePublicKey)
    end = min(now + LIFE, authority.not_valid_after_utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0][:64])]))
        .issuer_name(authority.subject)
        .public_key(server_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - SKEW, authority.not_valid_before_utc))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([_name(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate)


def describe(certificate: str, ca_certificate: str) -> tuple[bool, tuple[str, ...], datetime, str]:
    """Of a certificate: issued by this authority, its names, its end, its public key (PEM)."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import serialization

    found = x509.load_pem_x509_certificate(certificate.encode())
    authority = x509.load_pem_x509_certificate(ca_certificate.encode())
    try:
        found.verify_directly_issued_by(authority)
        ours = True
    except (InvalidSignature, ValueError, TypeError):
        ours = False
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        listed = tuple(str(name.value) for name in names)
    except x509.ExtensionNotFound:
        listed = ()
    public = found.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return ours, listed, found.not_valid_after_utc, public.decode()


def _name(name: str) -> "x509.GeneralName":
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, sign: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not sign,
        key_cert_sign=sign,
        crl_sign=sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=not sign,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: "x509.Certificate") -> str:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM).decode()
