"""pgBackRest's command line, and the answer to its `info` command as typed values."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from pgprovision.engine.model import Answer, Probe
from pgprovision.quote import sh
from pgprovision.resources.pgbackrest.error_hints import error_hint, error_hint_script
from pgprovision.resources.postgres.server.instance import as_postgres

CONFIG_FILE = "/etc/pgbackrest/pgbackrest.conf"  # wins over Debian's /etc/pgbackrest.conf
LOG_DIRECTORY = "/var/log/pgbackrest"
SPOOL_DIRECTORY = "/var/spool/pgbackrest"
PROBE_SECONDS = 15  # by itself it tries a dead endpoint for minutes (241 s seen with 2.45)
IO_SECONDS = 3  # one connection attempt; it makes three or more
KILLED_CODE = 137  # by `timeout -s KILL`
TIMEOUT_CODE = 124  # by `timeout`
NOT_INSTALLED_CODE = 127  # pgBackRest is not installed
LOCKED_ERROR = "[050]"  # another pgBackRest is at work: WAL is being sent
LOCKED_SECONDS = 60
UNKNOWN_REPOSITORY = b"is not valid for 'repo' option"  # the configuration does not have it yet
OTHER_STATUS = 99  # pgBackRest's status code for "could not tell", with the reason
VERSION_PROBE = Probe("pgbackrest version")

PgbackrestVersion = tuple[int, ...]


def parse_version(answer: Answer | None) -> PgbackrestVersion | None:
    """The answer to VERSION_PROBE as (2, 45); None where it is not installed."""
    found = re.search(r"(\d+(?:\.\d+)+)", answer.text) if answer else None
    return tuple(int(part) for part in found[1].split(".")) if found else None


def repository_options(repository: int | None) -> tuple[str, ...]:
    """The option that names one repository; None where there is only one."""
    return () if repository is None else (f"--repo={repository}",)


def pgbackrest_command(stanza: str, *arguments: str, seconds: float | None = None) -> str:
    """Shell text that runs pgBackRest as postgres: as root it would leave files that postgres
    cannot read.

    With `seconds` it is ended after that time, and a failure prints its cause; where another
    pgBackRest runs it waits for up to LOCKED_SECONDS.
    """
    if seconds is None:
        return as_postgres("pgbackrest", f"--stanza={stanza}", *arguments)
    limit = ("timeout", "-k", "5", str(int(seconds)))
    run = as_postgres(*limit, "pgbackrest", f"--stanza={stanza}", *arguments)
    return (
        f"end=$(($(date +%s) + {LOCKED_SECONDS}))\n"
        f"until output=$({run} 2>&1); do code=$?\n"
        f'  case "$output" in *"{LOCKED_ERROR}"*)\n'
        "    [ $(date +%s) -ge $end ] || { sleep 1; continue; };; esac\n"
        f"  [ $code != {TIMEOUT_CODE} ] || echo 'ended by pgprovision:"
        f" not done in {int(seconds)} s' >&2\n"
        f"  {{ {filtered_message('output')}; {error_hint_script('output')}; }} >&2; exit 1\ndone"
    )


def filtered_message(variable: str) -> str:
    """Shell text that prints the errors and hints of a message in a shell variable, without the
    headers of HTTP requests and without bytes that are not text."""
    return (
        f"printf '%s\\n' \"${variable}\" | LC_ALL=C tr -cd '[:print:]\\n' |"
        " grep -v 'key/value found outside' |"
        " grep -E 'Error|ERROR|WARN|<Code>|<Message>|HINT|option' | head -n 12 | cut -c1-300"
    )


def probe_command(stanza: str, *arguments: str) -> str:
    """Shell text that runs pgBackRest as postgres in a probe, for at most `PROBE_SECONDS`."""
    quick = (f"--io-timeout={IO_SECONDS}", "--log-level-console=off", "--log-level-stderr=warn")
    limit = ("timeout", "-s", "KILL", str(PROBE_SECONDS))  # a probe has no lock to release
    return as_postgres(*limit, "pgbackrest", f"--stanza={stanza}", *quick, *arguments)


def info_probe(stanza: str, repository: int | None = None) -> Probe:
    """Prints the content of one repository, or of all: one round trip, at most `PROBE_SECONDS`."""
    command = probe_command(stanza, *repository_options(repository), "--output=json", "info")
    return Probe(f"command -v pgbackrest >/dev/null || exit {NOT_INSTALLED_CODE}; {command}")


def check_readable(stanza: str, *options: str, data: str = "") -> str:
    """Shell text that fails with the reason in a few lines, where a repository cannot be read or
    the configuration has an option that this version does not know. With the path of a data
    directory it also fails where the stanza is another cluster's."""
    found = probe_command(stanza, *options, "info")
    text = (
        f"out=$({found} 2>&1) || {{ code=$?\n"
        f"  [ $code != {KILLED_CODE} ] || echo 'no answer from the repository in {PROBE_SECONDS} s:"
        " wrong endpoint or port, or a firewall in between' >&2\n"
        f"  {{ {filtered_message('out')}; {error_hint_script('out')}; }} >&2; exit 1; }}\n"
        'case "$out" in *"error (other)"*|*"invalid option"*)'
        f" {{ {filtered_message('out')}; {error_hint_script('out')}; }} >&2; exit 1;; esac"
    )
    return f"{text}\n{_same_cluster(stanza, options, data)}" if data else text


def _same_cluster(stanza: str, options: tuple[str, ...], data: str) -> str:
    """Fails where a repository has this stanza for another cluster."""
    info_command = probe_command(stanza, *options, "--output=json", "info")
    control = sh(f"{data}/global/pg_control")
    return (
        f"here=$(od -An -t u8 -N 8 {control} 2>/dev/null | tr -d ' '); [ -n \"$here\" ] || exit 0\n"
        f"known=$({info_command} 2>/dev/null | tr -d '\"' |"
        " grep -o 'repo-key:[0-9]*,system-id:[0-9]*')\n"
        "for repo in $(printf '%s\\n' \"$known\" | cut -d: -f2 | cut -d, -f1 | sort -u); do\n"
        '  case "$known" in *"repo-key:$repo,system-id:$here"*) continue;; esac\n'
        f'  echo "stanza {stanza} in repository $repo belongs to another cluster: its system'
        ' identifier is not $here; give this one a path of its own; nothing was written" >&2\n'
        "  exit 1\ndone"
    )


def _stable_error(message: str) -> str:
    """The part of a repository's error that is the same in every look."""
    line = message.partition("\n")[0].rstrip(":")
    code = re.search(r"<Code>(.*?)</Code>", message)
    text = re.search(r"<Message>(.*?)</Message>", message)
    if code:
        line += f": {code[1]}" + (f" ({text[1]})" if text else "")
    found = error_hint(message)
    return f"{line}: {found}" if found else line


@dataclass(frozen=True)
class BackupInfo:
    """A backup set. Times are seconds since 1970, sizes are bytes."""

    label: str
    type: str
    """full, diff or incr."""
    start: int
    stop: int
    database_size: int
    """Of the database."""
    repository_size: int
    """In the repository."""
    wal_range: tuple[str, str]
    """The first and last WAL segment it needs."""
    system_identifier: str
    damaged: bool
    """Pages of the database had wrong checksums."""
    repository: int = 1
    """pgBackRest's number."""
    prior: str | None = None
    """The backup it builds on."""
    lsn_range: tuple[str, str] = ("0/0", "0/0")
    """Where it began and ended."""
    """Where it begins, and where it is consistent."""

    @property
    def timeline(self) -> int:
        """The timeline it was taken on."""
        return int(self.wal_range[1][:8], 16)

    @classmethod
    def from_json(cls, item: Mapping[str, Any], systems: Mapping[tuple[int, int], str]) -> Self:
        when, sizes, wal = item["timestamp"], item["info"], item["archive"]
        repository = item["database"]["repo-key"]
        where = item.get("lsn") or {"start": "0/0", "stop": "0/0"}
        return cls(
            label=item["label"],
            type=item["type"],
            start=when["start"],
            stop=when["stop"],
            database_size=sizes["size"],
            repository_size=sizes["repository"]["delta"],
            wal_range=(wal["start"], wal["stop"]),
            system_identifier=systems.get((repository, item["database"]["id"]), ""),
            damaged=bool(item.get("error")),
            repository=repository,
            prior=item.get("prior"),
            lsn_range=(where["start"], where["stop"]),
        )


@dataclass(frozen=True)
class ArchiveInfo:
    """The first and last archived WAL segment of the cluster that uses the stanza now; of several
    repositories, in the first one that answers."""

    min: str | None = None
    max: str | None = None


@dataclass(frozen=True)
class StanzaInfo:
    """A stanza."""

    error: str = ""
    """Why nothing is known; empty: the repository was read."""
    system_identifier: str = ""
    """Empty: there is no such stanza."""
    backups: tuple[BackupInfo, ...] = ()
    archive: ArchiveInfo = ArchiveInfo()
    running: bool = False
    """A backup runs."""

    def backups_of(self, identifier: str) -> tuple[BackupInfo, ...]:
        """The backups of a cluster, oldest first."""
        return tuple(b for b in self.backups if b.system_identifier == identifier)


def iso_time(seconds: int) -> str:
    """Seconds since 1970 in ISO 8601, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def parse(answer: Answer) -> StanzaInfo:
    """The answer to `info_probe(stanza)`."""
    if answer.code == KILLED_CODE:
        return StanzaInfo(error=f"no answer in {PROBE_SECONDS} s")
    if answer.code == NOT_INSTALLED_CODE:
        return StanzaInfo()
    try:
        stanza = json.loads(answer.text, strict=False)[0] if not answer.code else None
    except (ValueError, LookupError):
        stanza = None
    if stanza is None and UNKNOWN_REPOSITORY in answer.err + answer.out:
        return StanzaInfo()
    if stanza is None:
        message = answer.err.decode(errors="replace").strip() or answer.text.strip()
        return StanzaInfo(error=message.partition("\n")[0] or f"exit code {answer.code}")
    errors = [
        f"repo{repo['key']}: {_stable_error(repo['status']['message'])}"
        for repo in stanza["repo"]
        if repo["status"]["code"] == OTHER_STATUS
    ]
    systems = {(db["repo-key"], db["id"]): str(db["system-id"]) for db in stanza["db"]}
    latest = max(systems, key=lambda key: (-key[0], key[1]), default=(0, 0))
    archives = [
        a for a in stanza["archive"] if (a["database"]["repo-key"], a["database"]["id"]) == latest
    ]
    return StanzaInfo(
        error="; ".join(errors),
        system_identifier=systems.get(latest, ""),
        backups=tuple(BackupInfo.from_json(item, systems) for item in stanza["backup"]),
        archive=ArchiveInfo(archives[0]["min"], archives[0]["max"]) if archives else ArchiveInfo(),
        running=bool(stanza["status"]["lock"]["backup"]["held"]),
    )
