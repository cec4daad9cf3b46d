"""A server's catalogs, as far as they are needed, from one psql call.

Every resource inside PostgreSQL uses the same `SnapshotQuery`, so it runs once per host and look.
It also runs on a standby, and on PostgreSQL 13 to 18.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from pgprovision.engine.model import Answer, Probe, Waiting
from pgprovision.errors import Refused
from pgprovision.quote import literal, sh
from pgprovision.resources.postgres.conninfo import extend
from pgprovision.resources.postgres.server.instance import Instance

Row = Mapping[str, Any]
# psql's words where no server listens, and setpriv's where none is installed
NOT_RUNNING_MESSAGES = (
    "No such file or directory",
    "Connection refused",
    "failed to parse reuid",
)
DATABASES_PER_SESSION = 50  # databases that one session looks into, one after the other ...
MAX_SESSIONS = 4  # ... and no more sessions than these at once
STARTING_MESSAGES = (
    "starting up",
    "shutting down",
    "not yet accepting connections",
    "in recovery mode",  # it restarts after a crash
)


@dataclass(frozen=True)
class DatabaseSnapshot:
    """The content of one database, and its privileges. ACLs are (grantee, privilege) pairs."""

    extensions: Mapping[str, Row]
    schemas: Mapping[str, Row]
    object_counts: Mapping[tuple[str, str], int]
    """Objects by (schema, kind); kind is tables, sequences or functions."""
    privilege_counts: Mapping[tuple[str, str, str, str], int]
    """Objects on which a grantee holds a privilege: (schema, kind, grantee, privilege)."""
    default_privileges: frozenset[tuple[str, str | None, str, str, str]]
    """pg_default_acl: (creating role, schema or None, object type, grantee, privilege)."""
    global_default_privileges: frozenset[tuple[str, str]]
    """(creating role, object type) that have an entry for all schemas."""
    collations: frozenset[tuple[str, str]] = frozenset()
    """(provider, name) of what sorts otherwise than the database's default; C and POSIX never."""


@dataclass(frozen=True)
class ServerSnapshot:
    """A running server as its catalogs and statistics show it."""

    version: int
    minor: str
    in_recovery: bool
    system_identifier: str
    timeline: int
    loaded: float
    """When the configuration was last loaded, in seconds since 1970."""
    lsn: Row
    contexts: Mapping[str, str]
    """Every setting's context: postmaster, sighup, user ..."""
    settings: Mapping[str, Row]
    """Settings that are not at their default: type, value, unit, source, file."""
    pending_restart: Mapping[str, Row]
    """Settings that wait for a restart: value and file, both None where a line was removed."""
    auto_conf: tuple[str, ...]
    """Names set by ALTER SYSTEM."""
    file_errors: tuple[str, ...]
    hba_errors: tuple[str, ...]
    overrides: tuple[tuple[str | None, str | None, str], ...]
    """ALTER ROLE/DATABASE SET: (role, database, "name=value")."""
    roles: Mapping[str, Row]
    databases: Mapping[str, Row]
    """All of them, with their ACLs as (grantee, privilege) pairs."""
    slots: Mapping[str, Row]
    replication: tuple[Row, ...]
    receiver: Row | None
    archiver: Row
    database_snapshots: Mapping[str, DatabaseSnapshot] = field(default_factory=dict)
    """The declared databases that exist; empty on a standby, which has the same as its primary."""
    file_times: Mapping[str, float] = field(default_factory=dict)
    """When each watched configuration file was last written, in seconds since 1970."""
    wal_free: int | None = None
    """Free bytes on the file system of the WAL."""


@dataclass(frozen=True)
class SnapshotQuery:
    """The query of a snapshot."""

    instance: Instance
    databases: tuple[str, ...] = ()
    """The declared databases; one that does not exist is skipped."""
    extra_files: tuple[str, ...] = ()
    """Files that the server reads only when it loads its configuration, in addition to the usual
    ones: certificates."""

    def probe(self) -> Probe:
        """One psql call for everything."""
        return _probe(self)

    def parse(self, answer: Answer) -> ServerSnapshot | Waiting | None:
        """The snapshot; None: no server runs. Raises Refused where one runs and gives no answer."""
        if answer.code == 0:
            return _parsed(answer.out)
        message = answer.err.decode(errors="replace").strip()
        if any(sign in message for sign in STARTING_MESSAGES):
            return Waiting(f"PostgreSQL {self.instance.version}/{self.instance.name}: {message}")
        if answer.code == 127 or any(words in message for words in NOT_RUNNING_MESSAGES):
            return None
        raise Refused(
            f"PostgreSQL runs and does not answer: {message or f'exit {answer.code}'}",
            next=f"on the host: {self.instance.psql()}",
        )

    def running_server(self, answer: Answer | None) -> ServerSnapshot | None:
        """The snapshot, if a server runs and can be queried."""
        try:
            server = self.parse(answer) if answer else None
        except Refused:
            return None
        return server if isinstance(server, ServerSnapshot) else None


@lru_cache(maxsize=16)
def _probe(query: SnapshotQuery) -> Probe:
    """Cached: every resource of a host has the same."""
    config, data = query.instance.config_directory, query.instance.data_directory
    names = [f"{config}/{name}" for name in ("postgresql.conf", "pg_hba.conf", "local.conf")]
    stat = sh("stat", "-L", "-c", "%.6Y %n", *names, f"{data}/postgresql.auto.conf")
    stat += "".join(" " + sh(path) for path in query.extra_files)
    share = max(DATABASES_PER_SESSION, -(-len(query.databases) // MAX_SESSIONS))
    shares = [query.databases[n : n + share] for n in range(0, len(query.databases), share)] or [()]
    scripts = [_databases_script(names) for names in shares]
    free = sh("stat", "-L", "-f", "-c", "free %a %S", f"{data}/pg_wal")
    text = (
        f"{{ {stat}; {free}; }} 2>/dev/null\n{_psql(query.instance, _sql('server') + scripts[0])}"
    )
    if not scripts[1:]:
        return Probe(text)
    background = [
        _psql(query.instance, script, f' >"$d/{n}" & p{n}=$!')
        for n, script in enumerate(scripts[1:])
    ]
    wait_script = "".join(f'wait "$p{n}" || c=$?; cat "$d/{n}"\n' for n in range(len(background)))
    aside = "d=$(mktemp -d /run/pgprovision-look.XXXXXX) && trap 'rm -rf \"$d\"' EXIT || exit\n"
    return Probe(f"{aside}{''.join(background)}{text}c=$?\n{wait_script}exit $c")


def _psql(instance: Instance, script: str, more: str = "") -> str:
    return f"{instance.psql()} <<'PGPROVISION'{more}\n{script}PGPROVISION\n"


@cache
def _sql(name: str) -> str:
    return (files(__package__) / "sql" / f"{name}.sql").read_text()


def _databases_script(databases: Sequence[str]) -> str:
    """psql script that queries the databases that exist; on a standby, none.

    Which are there is asked once: a question of its own would cost each new session 2 ms more.
    The connection string goes through a psql variable, so a name may hold spaces and `=`; \\connect
    takes one pair of double quotes off it.
    """
    if not databases:
        return ""
    existing = ", ".join(
        f"coalesce(bool_or(datname = {literal(name)}), false) as there_{n}"
        for n, name in enumerate(databases)
    )
    lines = [
        _query_variable(),
        f"select {existing} from pg_database where datallowconn and not pg_is_in_recovery() \\gset",
    ]
    for n, name in enumerate(databases):
        target = '"' + extend("", dbname=name).replace('"', '""') + '"'
        plain = target.replace("\\", "\\\\").replace("'", "''")
        lines += [
            f"\\if :there_{n}",
            f"\\set target '{plain}'",
            "\\connect -reuse-previous=on :target",
            ":inside",
            "\\endif",
        ]
    return "\n".join(lines) + "\n"


@cache
def _query_variable() -> str:
    """psql script that stores the query of a database in a variable: it is sent once."""
    lines = (line.strip() for line in _sql("database").splitlines())
    text = " ".join(line for line in lines if not line.startswith("--"))
    return "\\set inside '" + text.replace("'", "''") + "'"


@lru_cache(maxsize=16)
def _parsed(out: bytes) -> ServerSnapshot:
    """Cached: every resource of a host parses the same answer."""
    times: dict[str, float] = {}
    documents: list[dict[str, Any]] = []
    free: int | None = None
    for line in out.decode("utf-8", "surrogateescape").splitlines():
        if line.startswith("{"):
            documents.append(json.loads(line))
        elif line.startswith("free "):
            blocks, size = line.split()[1:]
            free = int(blocks) * int(size)
        else:
            seconds, _, path = line.partition(" ")
            times[path] = float(seconds)
    server, *inside = documents
    for key in ("auto_conf", "file_errors", "hba_errors"):
        server[key] = tuple(sorted(set(server[key])))
    server["overrides"] = tuple(tuple(row) for row in server["overrides"])
    server["replication"] = tuple(server["replication"])
    for row in server["databases"].values():
        row["acl"] = frozenset(map(tuple, row["acl"]))
    databases = {document["database"]: _database(document) for document in inside}
    return ServerSnapshot(**server, database_snapshots=databases, file_times=times, wal_free=free)


def _database(found: dict[str, Any]) -> DatabaseSnapshot:
    def rows(key: str) -> Iterator[tuple[Any, ...]]:
        return (tuple(row) for row in found[key])

    return DatabaseSnapshot(
        extensions=found["extensions"],
        schemas={
            name: row | {"acl": frozenset(map(tuple, row["acl"]))}
            for name, row in found["schemas"].items()
        },
        object_counts={(schema, kind): number for schema, kind, number in rows("totals")},
        privilege_counts={tuple(row): number for *row, number in rows("privilege_counts")},
        default_privileges=frozenset(rows("defaults")),
        global_default_privileges=frozenset(rows("global_defaults")),
        collations=frozenset(rows("collations")),
    )
