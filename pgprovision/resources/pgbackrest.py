"""pgBackRest's command line, and what its `info` says, as typed values."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pgprovision.model import Answer, Ask
from pgprovision.resources.instance import as_postgres

CONFIG = "/etc/pgbackrest/pgbackrest.conf"  # wins over Debian's /etc/pgbackrest.conf
LOG_DIRECTORY = "/var/log/pgbackrest"
LOOK_SECONDS = 15  # by itself it tries a dead endpoint for minutes (241 s seen with 2.45)
IO_SECONDS = 3  # one connection attempt; it makes three or more
KILLED = 137  # by `timeout`
ABSENT = 127  # pgBackRest is not installed
OTHER = 99  # pgBackRest's status code for "could not tell", with the reason
VERSION = Ask("pgbackrest version")

Version = tuple[int, ...]


def version(answer: Answer | None) -> Version | None:
    """From the answer to VERSION: (2, 45). None where it is not installed."""
    found = re.search(r"(\d+(?:\.\d+)+)", answer.text) if answer else None
    return tuple(int(part) for part in found[1].split(".")) if found else None


def pgbackrest(stanza: str, *words: str) -> str:
    """Shell text that runs it as postgres: as root it would leave files postgres cannot read."""
    return as_postgres("pgbackrest", f"--stanza={stanza}", *words)


def _bounded(stanza: str, *words: str) -> str:
    quick = (f"--io-timeout={IO_SECONDS}", "--log-level-console=off", "--log-level-stderr=warn")
    limit = ("timeout", "-s", "KILL", str(LOOK_SECONDS))  # a look holds no lock
    return as_postgres(*limit, "pgbackrest", f"--stanza={stanza}", *quick, *words)


def info(stanza: str) -> Ask:
    """What the repository holds: one round trip to it, `LOOK_SECONDS` at the most."""
    look = _bounded(stanza, "--output=json", "info")
    return Ask(f"command -v pgbackrest >/dev/null || exit {ABSENT}; {look}")


def answers(stanza: str, *words: str) -> str:
    """Shell text that fails, with the reason in a few lines, where the repository cannot be read
    or the configuration holds an option that this version does not know."""
    return (
        f"out=$({_bounded(stanza, *words, 'info')} 2>&1) || {{ code=$?\n"
        f"  [ $code != {KILLED} ] || echo 'no answer from the repository in {LOOK_SECONDS} s:"
        " wrong repo1-s3-endpoint or repo1-storage-port, or a firewall in between' >&2\n"
        "  printf '%s\\n' \"$out\" >&2; exit 1; }\n"
        'case "$out" in *"error (other)"*|*"invalid option"*) printf \'%s\\n\' "$out" |'
        " LC_ALL=C tr -cd '[:print:]\\n' | grep -v 'key/value found outside' |"
        " grep -E 'Error|WARN|<Code>|<Message>|HINT' | cut -c1-300 >&2\n"
        '  case "$out" in *"unable to load info file"*)'
        " echo 'repo1-cipher-pass is not the passphrase of this repository, or it is damaged' >&2;;"
        " esac; exit 1;; esac"
    )


def _trouble(message: str) -> str:
    """The part of a repository's error that stays the same from look to look."""
    line = message.partition("\n")[0].rstrip(":")
    code = re.search(r"<Code>(.*?)</Code>", message)
    words = re.search(r"<Message>(.*?)</Message>", message)
    if code:
        line += f": {code[1]}" + (f" ({words[1]})" if words else "")
    if "unable to load info file" in message:
        line += ": the passphrase (repo1-cipher-pass) is not the repository's, or it is damaged"
    return line


@dataclass(frozen=True)
class Backup:
    """One backup. Times are seconds since 1970; sizes bytes: the database's, the repository's."""

    label: str
    type: str
    start: int
    stop: int
    size: int
    stored: int
    wal: tuple[str, str]
    system_identifier: str
    damaged: bool

    @classmethod
    def of(cls, item: Mapping[str, Any], systems: Mapping[int, str]) -> Self:
        when, sizes, wal = item["timestamp"], item["info"], item["archive"]
        return cls(
            label=item["label"],
            type=item["type"],
            start=when["start"],
            stop=when["stop"],
            size=sizes["size"],
            stored=sizes["repository"]["delta"],
            wal=(wal["start"], wal["stop"]),
            system_identifier=systems.get(item["database"]["id"], ""),
            damaged=bool(item.get("error")),
        )


@dataclass(frozen=True)
class Archive:
    """The first and last WAL segment kept for the cluster that uses the stanza now."""

    min: str | None = None
    max: str | None = None


@dataclass(frozen=True)
class Info:
    """A stanza. `trouble`: why nothing is known. No `system_identifier`:
    there is no stanza."""

    trouble: str = ""
    system_identifier: str = ""
    backups: tuple[Backup, ...] = ()
    archive: Archive = Archive()
    running: bool = False

    def of_system(self, identifier: str) -> tuple[Backup, ...]:
        """The backups of this cluster, oldest first."""
        return tuple(b for b in self.backups if b.system_identifier == identifier)


def parse(answer: Answer) -> Info:
    """The answer to `info(stanza)`."""
    if answer.code == KILLED:
        return Info(trouble=f"no answer in {LOOK_SECONDS} s")
    if answer.code == ABSENT:
        return Info()
    try:
        stanza = json.loads(answer.text, strict=False)[0] if not answer.code else None
    except (ValueError, LookupError):
        stanza = None
    if stanza is None:
        said = answer.err.decode(errors="replace").strip() or answer.text.strip()
        return Info(trouble=said.partition("\n")[0] or f"exit code {answer.code}")
    lost = [
        f"repo{repo['key']}: {_trouble(repo['status']['message'])}"
        for repo in stanza["repo"]
        if repo["status"]["code"] == OTHER
    ]
    systems = {db["id"]: str(db["system-id"]) for db in stanza["db"]}
    latest = max(systems, default=0)
    archives = [a for a in stanza["archive"] if a["database"]["id"] == latest]
    return Info(
        trouble="; ".join(lost),
        system_identifier=systems.get(latest, ""),
        backups=tuple(Backup.of(item, systems) for item in stanza["backup"]),
        archive=Archive(archives[0]["min"], archives[0]["max"]) if archives else Archive(),
        running=bool(stanza["status"]["lock"]["backup"]["held"]),
    )
