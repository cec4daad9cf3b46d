"""The small types of an inventory."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

from pgprovision import recovery_target
from pgprovision.inventory.schema import validators as v
from pgprovision.secret import Secret


@dataclass(frozen=True)
class Described:
    """What a value looks like, in words for the schema. `yaml_type` is its type in YAML, where
    Python makes something else of it; `example` one that is right, as YAML; NAME is the key's."""

    description: str
    yaml_type: str = ""
    example: str = ""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, object]:
        found = {"type": self.yaml_type} if self.yaml_type else handler(schema)
        return {**found, "title": self.description}


@dataclass(frozen=True)
class FilledIn:
    """Marks a field that the loader fills in where an inventory leaves it out: a name from its file
    or key, a secret from its default file, a part from another one. Required of the model only."""


def is_filled_in(field: FieldInfo) -> bool:
    return any(isinstance(found, FilledIn) for found in field.metadata)


@dataclass(frozen=True)
class PatternText(Described):
    """Text that the pattern fits as a whole."""

    pattern: str = ""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_after_validator_function(self.check, handler(source))

    def check(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f"expected {self.description}")
        return text


def _matching(pattern: str, expected: str, example: str = "") -> PatternText:
    return PatternText(expected, pattern=pattern, example=example)


_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"

Text = Annotated[
    str,
    AfterValidator(v.printable),
    _matching(r"[^\W_]|\S|\S.*\S", "one line of text", "the application"),
    Field(max_length=1000),
]
HetznerName = Annotated[
    str, _matching(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", "a name of Hetzner's")
]
HostLabel = Annotated[
    str,
    _matching(
        r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
        "1 to 63 lower-case letters, digits and inner dashes, for instance server-postgres-1",
        "hcb-lab",
    ),
]
CloudName = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?",
        "1 to 63 letters, digits, dots, dashes and underscores, a letter or digit at both ends",
        "hcb-network",
    ),
]
UserName = Annotated[
    str, _matching(r"[a-z_][a-z0-9_.-]{0,31}", "a login name, for instance root", "root")
]
HostName = Annotated[
    str,
    _matching(
        rf"{_HOST}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*", "a host name or an IP address", "192.0.2.10"
    ),
]
JumpHost = Annotated[
    str,
    _matching(
        rf"([a-z_][a-z0-9_.-]*@)?{_HOST}(:[0-9]{{1,5}})?",
        "[USER@]HOST[:PORT] to jump over",
        "me@bastion.example.org",
    ),
]
Purpose = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}", "a few plain words, as node exporter", "node exporter"
    ),
]
Package = Annotated[
    str, _matching(r"[a-z0-9][a-z0-9+.-]+", "a Debian package's name, for instance tmux", "tmux")
]
ExtensionName = Annotated[
    str,
    _matching(r"[a-z][a-z0-9_-]{0,62}", "an extension's name, for instance pgcrypto", "pgcrypto"),
]
Locale = Annotated[
    str, _matching(r"[A-Za-z0-9_.@-]{1,63}", "a locale, for instance C.UTF-8", "C.UTF-8")
]
Encoding = Annotated[
    str,
    AfterValidator(v.encoding),
    Described("an encoding of PostgreSQL's, for instance UTF8", example="UTF8"),
]
Privilege = Annotated[
    str, _matching(r"[A-Z]+( [A-Z]+)?", "a privilege in capitals, as SELECT", "CONNECT")
]
BucketName = Annotated[
    str,
    _matching(
        r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "a bucket's name, 3 to 63 characters", "hcb-backups"
    ),
]
RepositoryPath = Annotated[
    str,
    _matching(
        r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+",
        "a path of its own in the bucket, as /hcb-lab",
        "/hcb-lab",
    ),
]
SecondRepositoryPath = Annotated[
    str,
    _matching(
        r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+",
        "a path of its own in the bucket, as /hcb-lab-second",
        "/hcb-lab-second",
    ),
]
OnCalendar = Annotated[
    str,
    _matching(
        r"[A-Za-z0-9*][A-Za-z0-9 *:.,/~+_-]*",
        "systemd's OnCalendar, as Sun *-*-* 03:00:00",
        "Sun *-*-* 03:00:00",
    ),
]
Delay = Annotated[
    str, _matching(r"[0-9]{1,5}(s|min|h)", "a span of time, for instance 15min", "15min")
]
Age = Annotated[
    str,
    _matching(r"[1-9][0-9]{0,4}(min|h|d)", "a span of time, for instance 90min, 26h or 8d", "26h"),
]
IntervalOrNever = Annotated[
    str,
    _matching(r"never|[1-9][0-9]{0,4}(min|h|d)", "a span of time such as 10min, or never", "10min"),
]
MailAddress = Annotated[
    str,
    _matching(rf"[A-Za-z0-9._+=-]{{1,64}}@{_HOST}", "a mail address", "postgres@example.org"),
]
Query = Annotated[
    str,
    AfterValidator(v.printable),
    _matching(
        r"(?i:select|with|values|table)\b[^;\\]*[^;\\\s]",
        "one SELECT without ; and \\",
        "select count(*) from orders",
    ),
    Field(max_length=1000),
]
PublicKey = Annotated[
    str,
    _matching(
        r"(sk-)?(ssh|ecdsa)-[a-z0-9@.-]+ [A-Za-z0-9+/]{60,}={0,2}( \S.*)?",
        "a public SSH key in one line, for instance ssh-ed25519 AAAA... me@here",
        "!file secrets/id_ed25519.pub",
    ),
]
SettingName = Annotated[
    str,
    _matching(
        r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?",
        "the name of a setting, for instance work_mem",
        "work_mem",
    ),
]
SettingValue = Annotated[bool | int | float | str, BeforeValidator(v.setting)]
SysctlName = Annotated[
    str,
    _matching(
        r"(vm|net|kernel|fs)(\.[a-z0-9][a-z0-9_-]*)+",
        "a kernel setting, for instance vm.swappiness",
        "vm.swappiness",
    ),
]
Integer = Annotated[int, Strict()]
Port = Annotated[Integer, Field(ge=1, le=65535)]
Boolean = Annotated[bool, Strict()]
RoleName = Annotated[
    str,
    AfterValidator(v.sql_name(v.RESERVED_NAMES | {"postgres"})),
    Described("a role's name", example="rails"),
]
DatabaseName = Annotated[
    str,
    AfterValidator(v.sql_name(v.RESERVED_NAMES | v.SYSTEM_DATABASES)),
    Described("a database's name", example="hcb_production"),
]
SchemaName = Annotated[
    str,
    AfterValidator(v.sql_name(v.RESERVED_NAMES - {"public"})),
    Described("a schema's name", example="public"),
]
Bytes = Annotated[
    int, BeforeValidator(v.size), Described("a size, for instance 512MB or 2GB", "string", "2GB")
]
SizeText = Annotated[
    str, AfterValidator(v.size_text), Described("a size, for instance 512MB or 2GB", example="16GB")
]
Cidr = Annotated[
    IPv4Network | IPv6Network,
    BeforeValidator(v.network),
    Described("a network, for instance 10.0.0.0/16", "string", "10.0.0.0/16"),
]
PrivateCidr = Annotated[
    IPv4Network,
    BeforeValidator(v.private_range),
    Described("a private network, for instance 10.0.0.0/16", "string", "10.0.0.0/16"),
]
PrivateIp = Annotated[
    IPv4Address,
    BeforeValidator(v.private_address),
    Described("a private IPv4 address, for instance 10.0.1.2", "string", "10.0.1.2"),
]
LocalPath = Annotated[
    Path, BeforeValidator(v.path), Described("a file, relative to the inventory's folder", "string")
]
PrivateKeyPem = Annotated[
    Secret,
    BeforeValidator(v.private_key),
    Described("a private key in PEM, by !file", "string", "!file secrets/ca.key"),
]
CertificatePem = Annotated[
    str,
    AfterValidator(v.certificate),
    Described("a certificate in PEM, by !file", example="!file secrets/ca.crt"),
]
PgpPublicKey = Annotated[str, AfterValidator(v.key_block)]
SecretText = Annotated[
    Secret,
    BeforeValidator(v.secret),
    Described("a secret, by !file, !env or !command", "string", "!file secrets/NAME"),
]
SecretUrl = Annotated[
    Secret,
    BeforeValidator(v.secret_url),
    Described("a URL, by !file, !env or !command", "string", "!file secrets/NAME"),
]
Url = Annotated[
    str, AfterValidator(v.url), Described("a URL", example="https://api.hetzner.cloud/v1")
]
RestoreTime = Annotated[
    str,
    AfterValidator(recovery_target.parse_time),
    Described("a time with a zone", example="2026-11-29 03:00+01:00"),
]
RestoreLsn = Annotated[
    str,
    AfterValidator(recovery_target.parse_lsn),
    Described("an LSN, as 0/3000060", example="0/3000060"),
]
RestoreXid = Annotated[
    str,
    BeforeValidator(v.integer_as_text),
    AfterValidator(recovery_target.parse_xid),
    Described("a transaction id", example="74512"),
]
RestoreName = Annotated[
    str,
    AfterValidator(recovery_target.parse_restore_point),
    Described("a restore point's name", example="before-migration"),
]
BackupLabel = Annotated[
    str,
    _matching(
        r"[0-9]{8}-[0-9]{6}F(_[0-9]{8}-[0-9]{6}[DI])?",
        "a backup's label, as restore plan shows it",
        "20261129-030000F",
    ),
]
Timestamp = Annotated[
    str,
    AfterValidator(v.timestamp),
    Described("a time such as 2027-01-31 00:00:00+00, or infinity", example="infinity"),
]
