"""The cluster's certificate authority: pure functions over PEM text.

A node's private key is made on the node and never leaves it; the authority signs the public half.
ECDSA P-256 throughout: every libpq and OpenSSL that PostgreSQL 13 to 18 may meet can verify it.

While a new authority takes over, its certificate stands beside the old one in one file, the bundle:
everybody trusts both, and the key says which of them signs.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from pgprovision.errors import InventoryError
from pgprovision.secret import Secret

if TYPE_CHECKING:
    from cryptography import x509

AUTHORITY_LIFETIME = timedelta(days=3650)
CERTIFICATE_LIFETIME = timedelta(days=365)
RENEW_BEFORE = timedelta(days=60)
RENEW_AUTHORITY_BEFORE = timedelta(days=365)  # every client has to be given the new one
CLOCK_SKEW = timedelta(hours=1)  # a node's clock may be behind ours


def new_authority(cluster: str, now: datetime) -> tuple[Secret, str]:
    """A new key and its self-signed certificate, both PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{cluster[:50]} CA {now:%Y-%m-%d}")]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + AUTHORITY_LIFETIME)
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


def signing_certificate(ca_key: Secret, bundle: str) -> "x509.Certificate":
    """The certificate in the bundle that belongs to the key. Raises InventoryError."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    public = serialization.load_pem_private_key(ca_key.text().encode(), None).public_key()
    for certificate in x509.load_pem_x509_certificates(bundle.encode()):
        if certificate.public_key() == public:
            return certificate
    raise InventoryError(
        f"the authority's key ({ca_key.source}) matches none of its certificates",
        next="put back the ca.key and ca.crt that belong together",
    )


def only_signing_certificate(ca_key: Secret, bundle: str) -> str:
    """The bundle with nothing but the key's own certificate."""
    return _pem(signing_certificate(ca_key, bundle))


def authority_expiry(ca_key: Secret, bundle: str) -> datetime:
    """When the one that signs ends."""
    return signing_certificate(ca_key, bundle).not_valid_after_utc


def issue_server_certificate(
    ca_key: Secret, bundle: str, public_key: str, names: Sequence[str], now: datetime
) -> str:
    """A server certificate for this public key; `names` are host names and IP addresses."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = serialization.load_pem_private_key(ca_key.text().encode(), None)
    authority = signing_certificate(ca_key, bundle)
    server_key = serialization.load_pem_public_key(public_key.encode())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(server_key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)  # ours, or theirs
    if authority.not_valid_after_utc <= now:
        raise InventoryError(
            f"the authority ended on {authority.not_valid_after_utc:%Y-%m-%d}",
            next="pgprovision ca renew",
        )
    end = min(now + CERTIFICATE_LIFETIME, authority.not_valid_after_utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0][:64])]))
        .issuer_name(authority.subject)
        .public_key(server_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - CLOCK_SKEW, authority.not_valid_before_utc))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([_name(n) for n in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return _pem(certificate)


def inspect_certificate(
    certificate: str, ca_key: Secret, bundle: str
) -> tuple[bool, tuple[str, ...], tuple[datetime, datetime], str]:
    """Of a certificate: issued by this authority, its names, from when to when it holds, its public
    key (PEM)."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import serialization

    parsed = x509.load_pem_x509_certificate(certificate.encode())
    authority = signing_certificate(ca_key, bundle)
    try:
        parsed.verify_directly_issued_by(authority)
        issued_by_authority = True
    except (InvalidSignature, ValueError, TypeError):
        issued_by_authority = False
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        subject_names = tuple(str(name.value) for name in names)
    except x509.ExtensionNotFound:
        subject_names = ()
    public = parsed.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    validity = (parsed.not_valid_before_utc, parsed.not_valid_after_utc)
    return issued_by_authority, subject_names, validity, public.decode()


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
