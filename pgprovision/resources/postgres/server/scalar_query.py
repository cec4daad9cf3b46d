"""One value from a database, read only: for the checks and heartbeats of a drill."""

from dataclasses import dataclass

from pgprovision.engine.model import Answer, Probe
from pgprovision.resources.postgres.server.instance import Instance

READ_ROLE = "pg_read_all_data"  # a role since PostgreSQL 14; before, a read-only superuser
QUERY_SECONDS = 50  # below a look's own limit
_SCRIPT = """\
set client_encoding = 'UTF8';
begin transaction read only;
set local statement_timeout = '{seconds}s';
set local lock_timeout = '5s';
{become}select ({query}
)::{type};
rollback;
"""


@dataclass(frozen=True)
class ScalarResult:
    """The result of a query."""

    value: str | None = None
    """None for NULL or no row."""
    error: str = ""
    """Why there is no result; empty: there is one."""


def scalar_probe(instance: Instance, database: str, query: str, sql_type: str = "text") -> Probe:
    """Queries one value. As a subquery it can only be one SELECT of one column and row; it runs
    read-only and with the privileges to read."""
    become = f"set local role {READ_ROLE};\n" if instance.version >= 14 else ""
    script = _SCRIPT.format(seconds=QUERY_SECONDS, become=become, query=query, type=sql_type)
    return Probe(f"{instance.psql(database)} <<'PGPROVISION'\n{script}PGPROVISION\n")


def timestamp_probe(instance: Instance, database: str, query: str) -> Probe:
    """Queries a timestamp, in seconds since 1970."""
    seconds = f"select extract(epoch from ({query}\n)::timestamptz)"
    return scalar_probe(instance, database, seconds)


def parse_scalar(answer: Answer | None) -> ScalarResult:
    """The answer to `scalar_probe` or `timestamp_probe`."""
    if answer is None:
        return ScalarResult(error="the query was not run")
    if answer.code:
        message = answer.err.decode(errors="replace").strip().splitlines()
        return ScalarResult(error=message[0] if message else f"exit {answer.code}")
    value = answer.text.rstrip("\n")
    return ScalarResult(value or None)
