"""How the values of an inventory are judged and read.

Each says in its ValueError what is expected and never shows the value; `load` adds the place.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationInfo

from pgprovision.inventory.reference import Reference
from pgprovision.inventory.resolver import Resolver
from pgprovision.quantity import MEMORY_UNITS
from pgprovision.quote import IDENTIFIER_BYTES
from pgprovision.secret import Secret

_SIZE = re.compile(rf"([0-9]{{1,12}})({'|'.join(MEMORY_UNITS)})")
RESERVED_NAMES = frozenset(
    {"public", "none", "all", "replication", "sameuser", "samerole", "samegroup"}
)
SYSTEM_DATABASES = frozenset({"postgres", "template0", "template1"})
# PostgreSQL 15 manual, table 24.1: those a server can have
ENCODINGS = frozenset(
    """EUC_CN EUC_JP EUC_JIS_2004 EUC_KR EUC_TW ISO_8859_5 ISO_8859_6 ISO_8859_7 ISO_8859_8
    KOI8R KOI8U LATIN1 LATIN2 LATIN3 LATIN4 LATIN5 LATIN6 LATIN7 LATIN8 LATIN9 LATIN10
    MULE_INTERNAL SQL_ASCII UTF8 WIN866 WIN874 WIN1250 WIN1251 WIN1252 WIN1253 WIN1254 WIN1255
    WIN1256 WIN1257 WIN1258""".split()  # noqa: SIM905
)


class SuggestedValue(ValueError):
    """What is expected, and the very value that was probably meant."""

    def __init__(self, text: str, suggestion: str) -> None:
        super().__init__(text)
        self.suggestion = suggestion


def sql_name(reserved: frozenset[str]) -> Callable[[str], str]:
    def check(text: str) -> str:
        length = len(text.encode("utf-8", "surrogatepass"))
        if not 1 <= length <= IDENTIFIER_BYTES:
            raise ValueError(
                f"{length} bytes long; expected 1 to {IDENTIFIER_BYTES}: PostgreSQL cuts the rest"
            )
        if not unicodedata.is_normalized("NFC", text):
            raise ValueError("expected composed characters (Unicode NFC)")
        if not (text[0].isalpha() or text[0] == "_") or not all(
            letter.isalnum() or letter in "_-." for letter in text
        ):
            raise ValueError(
                "expected letters, digits, underscores, dashes and dots, beginning with a letter "
                "or underscore: such names mean the same in SQL, shells, files and URLs"
            )
        if text.lower().startswith("pg_") or text.lower() in reserved:
            raise ValueError("reserved by PostgreSQL; expected another name")
        return text

    return check


def size(value: object) -> object:
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if not found or not int(found[1]):
        raise ValueError(
            "expected a whole number and one of B, kB, MB, GB, TB without a space, "
            "for instance 2GB or 512MB"
        )
    return int(found[1]) * MEMORY_UNITS[found[2]]


def size_text(text: str) -> str:
    size(text)
    return text


def network(value: object) -> object:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    start, slash, prefix = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not slash or not prefix.isascii() or not prefix.isdigit():
        raise ValueError("expected a network and its prefix length, for instance 10.0.0.0/16")
    try:
        return ip_network(f"{start}/{prefix}", strict=True)
    except ValueError as wrong:
        if "host bits" in str(wrong):
            meant = str(ip_network(f"{start}/{prefix}", False))
            raise SuggestedValue(f"host bits are set: expected {meant}", meant) from None
        raise ValueError("not a network such as 10.0.0.0/16 or fd00::/64") from None


def private_range(value: object) -> object:
    found = network(value)
    if not isinstance(found, IPv4Network) or not found.is_private:
        raise ValueError("expected a private IPv4 network, for instance 10.0.0.0/16")
    return found


def private_address(value: object) -> object:
    try:
        found = IPv4Address(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("expected an IPv4 address, for instance 10.0.1.2") from None
    if not found.is_private or found.is_loopback or found.is_link_local:
        raise ValueError("expected an address of a private network, for instance 10.0.1.2")
    return found


def path(value: object, info: ValidationInfo) -> object:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("expected the path of a file")
    try:
        return Path((info.context or {})["folder"]) / Path(value).expanduser()
    except RuntimeError:
        raise ValueError("no such user's home directory") from None


def secret(value: object, info: ValidationInfo) -> Secret:
    """A secret of one line, from a reference."""
    found = _resolve(value, info)
    text = found.text()
    if not text or any(c in "\0\n\r" or "\ud800" <= c <= "\udfff" for c in text):
        raise ValueError(f"{found.source}: expected a secret of one line, not empty")
    return found


def secret_url(value: object, info: ValidationInfo) -> Secret:
    """A URL that opens something by itself."""
    found = secret(value, info)
    try:
        url(found.text())
    except ValueError:
        raise ValueError(f"{found.source}: expected a URL that begins with https://") from None
    return found


def private_key(value: object, info: ValidationInfo) -> Secret:
    """A private key in PEM, from a reference."""
    found = _resolve(value, info)
    if not re.match("-----BEGIN .*PRIVATE KEY-----", found.text(), re.DOTALL):
        raise ValueError(f"{found.source}: expected a private key in PEM")
    return found


def _resolve(value: object, info: ValidationInfo) -> Secret:
    """What a secret field holds. Clear text written in YAML is refused. Its errors name the
    reference alone: pydantic's own errors carry the input, and that is the reference."""
    if isinstance(value, Secret):
        return value
    if not isinstance(value, Reference):
        raise ValueError(
            "a secret in clear text; expected !file secrets/NAME, !env NAME or !command [...]"
        )
    resolver: Resolver = (info.context or {})["resolver"]
    return resolver.secret(value)


def certificate(text: str) -> str:
    if not text.startswith("-----BEGIN CERTIFICATE-----"):
        raise ValueError("expected a certificate in PEM")
    return text.strip() + "\n"


def key_block(text: str) -> str:
    if not text.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----"):
        raise ValueError("expected an ASCII-armored OpenPGP public key")
    return text.strip() + "\n"


def url(text: str) -> str:
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("https", "http") and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine or not re.fullmatch(r"[!-~]+", text):
        raise ValueError("expected a URL, for instance https://api.hetzner.cloud/v1")
    if parts.scheme == "http" and not _is_private_host(parts.hostname or ""):
        raise ValueError("expected https: plain http shows the token to everyone on the way")
    return text.rstrip("/")


def _is_private_host(host: str) -> bool:
    """Whether a host is this machine or in a private network."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost"


def timestamp(text: str) -> str:
    if text != "infinity":
        try:
            datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(
                "expected a time such as 2027-01-31 00:00:00+00, or infinity"
            ) from None
    return text


def encoding(text: str) -> str:
    if text not in ENCODINGS:
        raise ValueError("expected an encoding of PostgreSQL's, for instance UTF8")
    return text


def setting(value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    if not isinstance(value, str) or not (value == "" or value.isprintable()):
        raise ValueError("expected a number, on, off or one line of text")
    return str(value)


def printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("expected one line of text without control characters")
    return text


def frozen_mapping(value: dict[str, Any]) -> MappingProxyType[str, Any]:
    """A mapping nobody can change."""
    return MappingProxyType(value)


def integer_as_text(value: object) -> object:
    """A number that YAML read as one, as text."""
    return str(value) if type(value) is int else value


def split_host_port(value: object, name: str, port: str) -> object:
    """A mapping with a `name` of host:port: that port becomes `port` unless it has one."""
    if isinstance(value, dict) and isinstance(value.get(name), str):
        host, _, number = value[name].partition(":")
        if number.isascii() and number.isdigit() and len(number) < 6:
            return {port: int(number)} | value | {name: host}
    return value
