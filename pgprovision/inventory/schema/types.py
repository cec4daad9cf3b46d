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
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function

from pgprovision import recovery_target
from pgprovision.inventory.schema import validators as v
from pgprovision.secret import Secret


@dataclass(frozen=True)
class Words:
    """What a value looks like, in words for the schema. `written` is its type in YAML, where Python
    makes something else of it; `example` one that is right, as YAML; NAME is the key's."""

    text: str
    written: str = ""
    example: str = ""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, object]:
        found = {"type": self.written} if self.written else handler(schema)
        return {**found, "title": self.text}


@dataclass(frozen=True)
class Matching(Words):
    """Text that the pattern fits as a whole."""

    pattern: str = ""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return no_info_after_validator_function(self.check, handler(source))

    def check(self, text: str) -> str:
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f"expected {self.text}")
        return text


def _matching(pattern: str, expected: str, example: str = "") -> Matching:
    return Matching(expected, pattern=pattern, example=example)


_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"

Text = Annotated[
    str,
    AfterValidator(v.printable),
    _matching(r"[^\W_]|\S|\S.*\S", "one line of text", "the application"),
    Field(max_length=1000),
]
Word = Annotated[str, _matching(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", "a name of Hetzner's")]
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
Extension = Annotated[
    str,
    _matching(r"[a-z][a-z0-9_-]{0,62}", "an extension's name, for instance pgcrypto", "pgcrypto"),
]
Locale = Annotated[
    str, _matching(r"[A-Za-z0-9_.@-]{1,63}", "a locale, for instance C.UTF-8", "C.UTF-8")
]
Encoding = Annotated[
    str,
    AfterValidator(v.encoding),
    Words("an encoding of PostgreSQL's, for instance UTF8", example="UTF8"),
]
Privilege = Annotated[
    str, _matching(r"[A-Z]+( [A-Z]+)?", "a privilege in capitals, as SELECT", "CONNECT")
]
Bucket = Annotated[
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
SecondPath = Annotated[
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
Every = Annotated[
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
Setting = Annotated[bool | int | float | str, BeforeValidator(v.setting)]
SysctlName = Annotated[
    str,
    _matching(
        r"(vm|net|kernel|fs)(\.[a-z0-9][a-z0-9_-]*)+",
        "a kernel setting, for instance vm.swappiness",
        "vm.swappiness",
    ),
]
Integer = Annotated[int, Strict(), BeforeValidator(v.integer)]
Port = Annotated[Integer, Field(ge=1, le=65535)]
Boolean = Annotated[bool, Strict()]
RoleName = Annotated[
    str,
    AfterValidator(v.sql_name(v.RESERVED | {"postgres"})),
    Words("a role's name", example="rails"),
]
DatabaseName = Annotated[
    str,
    AfterValidator(v.sql_name(v.RESERVED | v.TEMPLATES)),
    Words("a database's name", example="hcb_production"),
]
SchemaName = Annotated[
    str,
    AfterValidator(v.sql_name(v.RESERVED - {"public"})),
    Words("a schema's name", example="public"),
]
Bytes = Annotated[
    int, BeforeValidator(v.size), Words("a size, for instance 512MB or 2GB", "string", "2GB")
]
SizeText = Annotated[
    str, AfterValidator(v.size_text), Words("a size, for instance 512MB or 2GB", example="16GB")
]
Network = Annotated[
    IPv4Network | IPv6Network,
    BeforeValidator(v.network),
    Words("a network, for instance 10.0.0.0/16", "string", "10.0.0.0/16"),
]
PrivateRange = Annotated[
    IPv4Network,
    BeforeValidator(v.private_range),
    Words("a private network, for instance 10.0.0.0/16", "string", "10.0.0.0/16"),
]
Address = Annotated[
    IPv4Address,
    BeforeValidator(v.private_address),
    Words("a private IPv4 address, for instance 10.0.1.2", "string", "10.0.1.2"),
]
LocalPath = Annotated[
    Path, BeforeValidator(v.path), Words("a file, relative to the inventory's folder", "string")
]
PrivateKey = Annotated[
    Secret,
    BeforeValidator(v.private_key),
    Words("a private key in PEM, by !file", "string", "!file secrets/ca.key"),
]
Certificate = Annotated[
    str,
    AfterValidator(v.certificate),
    Words("a certificate in PEM, by !file", example="!file secrets/ca.crt"),
]
KeyBlock = Annotated[str, AfterValidator(v.key_block)]
SecretText = Annotated[
    Secret,
    BeforeValidator(v.secret),
    Words("a secret, by !file, !env or !command", "string", "!file secrets/NAME"),
]
SecretUrl = Annotated[
    Secret,
    BeforeValidator(v.secret_url),
    Words("a URL, by !file, !env or !command", "string", "!file secrets/NAME"),
]
Url = Annotated[str, AfterValidator(v.url), Words("a URL", example="https://api.hetzner.cloud/v1")]
RestoreTime = Annotated[
    str,
    AfterValidator(recovery_target.at_time),
    Words("a time with a zone", example="2026-11-29 03:00+01:00"),
]
RestoreLsn = Annotated[
    str, AfterValidator(recovery_target.at_lsn), Words("an LSN, as 0/3000060", example="0/3000060")
]
RestoreXid = Annotated[
    str,
    BeforeValidator(v.digits),
    AfterValidator(recovery_target.at_xid),
    Words("a transaction id", example="74512"),
]
RestoreName = Annotated[
    str,
    AfterValidator(recovery_target.at_name),
    Words("a restore point's name", example="before-migration"),
]
BackupLabel = Annotated[
    str,
    _matching(
        r"[0-9]{8}-[0-9]{6}F(_[0-9]{8}-[0-9]{6}[DI])?",
        "a backup's label, as restore plan shows it",
        "20261129-030000F",
    ),
]
Moment = Annotated[
    str,
    AfterValidator(v.until),
    Words("a time such as 2027-01-31 00:00:00+00, or infinity", example="infinity"),
]
