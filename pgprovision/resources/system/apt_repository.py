"""PostgreSQL's own package repository (PGDG), or a mirror of it; never without a valid signature.

A repository is tried before it is configured: apt itself checks its key, signature, index and
reachability in a temporary directory, so a wrong one changes nothing and never leads to another
source.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Action,
    Answer,
    Diff,
    Facts,
    Need,
    Probe,
    Resource,
    State,
    WithNeeds,
)
from pgprovision.errors import InventoryError
from pgprovision.quote import sh
from pgprovision.resources.system.file import File

PGDG = "https://apt.postgresql.org/pub/repos/apt"
PGDG_FINGERPRINT = "B97B0AFCAA1A47F044F244A07FCC7D46ACCC4CF8"  # wiki.postgresql.org/wiki/Apt
KEY_FILE = "/etc/apt/keyrings/pgdg.asc"
SOURCE_FILE = "/etc/apt/sources.list.d/pgdg.list"
PREFERENCE_FILE = "/etc/apt/preferences.d/pgdg.pref"
CODENAME_PROBE = Probe('. /etc/os-release; echo "$VERSION_CODENAME"')
_FILES = {"key": KEY_FILE, "source": SOURCE_FILE, "preference": PREFERENCE_FILE}


def fingerprint(armored: str) -> str:
    """The fingerprint of an ASCII-armored public key (RFC 4880, 6.2, 4.2 and 12.2). Raises
    InventoryError for anything else."""
    try:
        head, _, rest = armored.strip().partition("\n\n")
        if not head.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----"):
            raise ValueError("no key block")
        text = rest.partition("\n=")[0].partition("\n-----END")[0]
        raw = base64.b64decode("".join(text.split()), validate=True)
        body, version = _packet(raw)
        if version != 4:
            raise ValueError(f"version {version}")
    except (ValueError, IndexError) as error:
        raise InventoryError(f"not an ASCII-armored OpenPGP public key: {error}") from None
    return hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest().upper()


def _packet(raw: bytes) -> tuple[bytes, int]:
    """The body of the first packet, and the version of the key in it."""
    tag = raw[0]
    if tag & 0x40:  # the new format
        first = raw[1]
        octets, start = (1, 1) if first < 192 else (2, 1) if first < 224 else (4, 2)
        size = int.from_bytes(raw[start : start + octets], "big")
        if octets == 2:
            size = ((first - 192) << 8) + raw[2] + 192
    else:
        octets, start = 1 << (tag & 3), 1
        size = int.from_bytes(raw[start : start + octets], "big")
    body = raw[start + octets : start + octets + size]
    if len(body) != size:
        raise ValueError("cut off")
    return body, body[0]


@cache
def pgdg_key() -> str:
    """PGDG's key as it ships with pgprovision."""
    key = (files(__package__) / "pgdg.asc").read_text()
    if fingerprint(key) != PGDG_FINGERPRINT:
        raise InventoryError("the key that ships with pgprovision is not PGDG's")
    return key


@dataclass(frozen=True, kw_only=True)
class AptRepository(Resource, WithNeeds):
    """A repository in PGDG's shape (suite CODENAME-pgdg, component main), preferred for all it
    has."""

    kind: ClassVar[str] = "package repository"
    url: str = PGDG
    key: str
    """ASCII-armored; the only key that may sign it."""
    codename: str = "CODENAME"

    @property
    def name(self) -> str:
        return f"{self.url} signed by {fingerprint(self.key)}"

    def probe(self) -> Probe:
        return Probe(
            "\n".join(f"cat {path} 2>/dev/null; echo ==={name}" for name, path in _FILES.items())
        )

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, CODENAME_PROBE),)

    def resolved(self, facts: Facts) -> Self:
        answer = facts.get(self.on, CODENAME_PROBE)
        return replace(self, codename=answer.text.strip()) if answer else self

    def read(self, answer: Answer) -> State | None:
        state, rest = {}, answer.text
        for name in _FILES:
            state[name], _, rest = rest.partition(f"==={name}\n")
        return state if any(state.values()) else None

    def desired(self) -> State:
        return {
            "key": self.key,
            "source": f"# Written by pgprovision: an edit here is drift.\n{self._line(KEY_FILE)}",
            "preference": "# Written by pgprovision: an edit here is drift.\nPackage: *\n"
            f"Pin: release n={self.codename}-pgdg\nPin-Priority: 700\n",
        }

    def _line(self, key: str) -> str:
        return f"deb [signed-by={key}] {self.url} {self.codename}-pgdg main\n"

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.changed("key", "source"):
            yield Action(f"try the package repository {self.url}", self._trial(), self.key.encode())
        for name, path in _FILES.items():
            if diff.changed(name):
                text = str(self.desired()[name])
                write = File(on=self.on, path=path, content=text).write_command()
                folder = path.rpartition("/")[0]
                yield Action(f"write {path}", f"mkdir -p {folder}\n{write}", text.encode())

    def _trial(self) -> str:
        options = (
            "Dir::Etc::sourcelist=$t/list",
            "Dir::Etc::sourceparts=/dev/null",
            "Dir::State::lists=$t/lists",
            "Dir::Cache=$t/cache",
            "APT::Update::Error-Mode=any",
            "Acquire::Retries=1",
            "Acquire::http::Timeout=20",
            "Acquire::https::Timeout=20",
        )
        arguments = " ".join(f'-o "{option}"' for option in options)
        line = sh(self._line("KEY").strip())
        return (
            "set -e; t=$(mktemp -d /run/pgprovision-apt.XXXXXX); trap 'rm -rf \"$t\"' EXIT\n"
            'chmod 0755 "$t"; mkdir -p "$t/lists/partial" "$t/cache/archives/partial"\n'
            f'cat >"$t/key.asc"; echo {line} | sed "s|KEY|$t/key.asc|" >"$t/list"\n'
            f"apt-get -q {arguments} update >&2"
        )
