"""One value out of a database, read and nothing else: for probes and heartbeats of a drill."""

from dataclasses import dataclass

from pgprovision.engine.model import Answer, Ask
from pgprovision.resources.postgres.server.instance import Instance

READER = "pg_read_all_data"  # a role since PostgreSQL 14; before, a read-only superuser
SECONDS = 50  # below a look's own limit
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
class Found:
    """`value`: what the query returned, None for NULL or no row. `trouble`: why there is none."""

    value: str | None = None
    trouble: str = ""


def scalar(instance: Instance, database: str, query: str, type: str = "text") -> Ask:
    """Asks for one value. As a subquery it can only be one SELECT of one column and row; it runs
    read-only and with the rights to read."""
    become = f"set local role {READER};\n" if instance.version >= 14 else ""
    script = _SCRIPT.format(seconds=SECONDS, become=become, query=query, type=type)
    return Ask(f"{instance.psql(database)} <<'PGPROVISION'\n{script}PGPROVISION\n")


def moment(instance: Instance, database: str, query: str) -> Ask:
    """The same for a timestamp, in seconds since 1970."""
    seconds = f"select extract(epoch from ({query}\n)::timestamptz)"
    return scalar(instance, database, seconds)


def read(answer: Answer | None) -> Found:
    """What `scalar` or `moment` found."""
    if answer is None:
        return Found(trouble="not asked")
    if answer.code:
        said = answer.err.decode(errors="replace").strip().splitlines()
        return Found(trouble=said[0] if said else f"exit {answer.code}")
    value = answer.text.rstrip("\n")
    return Found(value or None)
