"""The small types of an inventory: names, sizes, addresses, secrets.

Each says what is wrong and what is expected in its ValueError; positions are added by `load`.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Strict, ValidationInfo

from pgprovision.inventory.sourced import Sourced
from pgprovision.quote import IDENTIFIER_BYTES
from pgprovision.secret import Secret

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123 2.1
_CLOUD_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_SIZE = re.compile(r"([0-9]{1,12})(B|kB|MB|GB|TB)?")
_UNITS = {None: 1, "B": 1, "kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_RESERVED = frozenset({"public", "none", "all", "replication", "sameuser", "samerole", "samegroup"})
_TEMPLATES = frozenset({"postgres", "template0", "template1"})


def _host_label(text: str) -> str:
    if not _LABEL.fullmatch(text):
        raise ValueError(
            "expected a host name of 1 to 63 lower-case letters, digits and inner dashes, "
            "for instance server-postgres-1"
        )
    return text


def _cloud_name(text: str) -> str:
    if not _CLOUD_NAME.fullmatch(text):
        raise ValueError(
            "expected 1 to 63 letters, digits, dots, dashes and underscores, "
            "beginning and ending with a letter or digit"
        )
    return text


def _sql_name(text: str) -> str:
    size = len(text.encode("utf-8", "surrogatepass"))
    if not 1 <= size <= IDENTIFIER_BYTES:
        raise ValueError(
            f"{size} bytes long; PostgreSQL names have 1 to {IDENTIFIER_BYTES} and longer ones "
            "would be cut"
        )
    if not text.isprintable() or text != text.strip():
        raise ValueError("expected printable characters without spaces around them")
    if text.startswith("-"):
        raise ValueError("expected a name that does not begin with a dash")
    if text.lower().startswith("pg_") or text.lower() in _RESERVED:
        raise ValueError(f"{text!r} has a meaning of its own in PostgreSQL; choose another name")
    return text


def _role_name(text: str) -> str:
    if text.lower() == "postgres":
        raise ValueError("the superuser postgres logs in on the socket only and is not declared")
    return _sql_name(text)


def _database_name(text: str) -> str:
    if text.lower() in _TEMPLATES:
        raise ValueError(f"{text!r} belongs to PostgreSQL itself; choose another name")
    return _sql_name(text)


def _size(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("expected a size with a unit of PostgreSQL's, for instance 2GB or 512MB")
    found = _SIZE.fullmatch(str(value))
    if not found or (isinstance(value, str) and not found[2]) or not int(found[1]):
        raise ValueError(
            "expected a whole number and one of B, kB, MB, GB, TB without a space, "
            "for instance 2GB or 512MB"
        )
    return int(found[1]) * _UNITS[found[2]]


def _size_text(value: str) -> str:
    _size(value)
    return value


def _network(value: object) -> object:
    if not isinstance(value, str) or "/" not in value:
        raise ValueError("expected a network with its prefix, for instance 10.0.0.0/16")
    address, _, prefix = value.partition("/")
    if not prefix.isdigit():
        raise ValueError(f"expected a prefix length after the slash, for instance {address}/16")
    try:
        return ip_network(value, strict=True)
    except ValueError as wrong:
        if "host bits" in str(wrong):
            right = ip_network(value, strict=False)
            raise ValueError(f"host bits are set; expected {right}") from None
        raise ValueError("expected a network such as 10.0.0.0/16 or fd00::/64") from None


def _address(value: object) -> object:
    try:
        return IPv4Address(value) if isinstance(value, str) else IPv4Address("")
    except ValueError:
        raise ValueError("expected an IPv4 address, for instance 10.0.1.2") from None


def _path(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected the path of a file")
    try:
        path = Path(value).expanduser()
    except RuntimeError:
        raise ValueError("no such user's home directory") from None
    folder = (info.context or {}).get("folder", Path())
    return path if path.is_absolute() else Path(folder) / path


def _secret(value: object) -> object:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, Sourced):
        raise ValueError(
            "a secret in clear text; expected !file secrets/NAME, !env NAME or !command [...]"
        )
    return value.secret()


def _integer(value: object) -> object:
    """Numbers taken from the environment come as text."""
    return int(value) if isinstance(value, Sourced) and re.fullmatch("-?[0-9]+", value) else value


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("expected a URL, for instance https://api.hetzner.cloud/v1")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError("http would show the token to the network; expected https")
    return text.rstrip("/")


def _one_line(text: str) -> str:
    if not text or not text.isprintable():
        raise ValueError("expected one line of printable text, not empty")
    return text


def frozen_mapping(value: dict[str, Any]) -> MappingProxyType[str, Any]:
    """A mapping nobody can change."""
    return MappingProxyType(value)


Text = Annotated[str, AfterValidator(_one_line)]
Integer = Annotated[int, Strict(), BeforeValidator(_integer)]
Port = Annotated[Integer, AfterValidator(lambda n: _between(n, 1, 65535))]
Boolean = Annotated[bool, Strict()]
HostLabel = Annotated[str, AfterValidator(_host_label)]
CloudName = Annotated[str, AfterValidator(_cloud_name)]
RoleName = Annotated[str, AfterValidator(_role_name)]
DatabaseName = Annotated[str, AfterValidator(_database_name)]
SqlName = Annotated[str, AfterValidator(_sql_name)]
Bytes = Annotated[int, BeforeValidator(_size)]
SizeText = Annotated[str, AfterValidator(_size_text)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
NetworkV4 = Annotated[IPv4Network, BeforeValidator(_network)]
Address = Annotated[IPv4Address, BeforeValidator(_address)]
LocalPath = Annotated[Path, BeforeValidator(_path)]
SecretText = Annotated[Secret, BeforeValidator(_secret)]
Url = Annotated[str, AfterValidator(_url)]


def _between(number: int, low: int, high: int) -> int:
    if not low <= number <= high:
        raise ValueError(f"expected a number from {low} to {high}")
    return number
