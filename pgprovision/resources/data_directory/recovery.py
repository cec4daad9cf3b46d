"""Recovers a restored data directory to its target: PostgreSQL replays WAL from the archive without
clients, is promoted, reports how far it came, and is stopped.

It runs inside the unit that restored the data (recover.sh). All recovery settings are on the
command line, so none is ever written to a file. Nothing is archived meanwhile. It has a spool and a
lock of its own, apart from those of a cluster that may run on the same host.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pgprovision.engine.model import Answer, Probe
from pgprovision.quote import sh
from pgprovision.recovery_target import RecoveryTarget
from pgprovision.resources.postgres.server.instance import (
    Instance,
    as_postgres,
    restore_result_file,
)

_RESULT_QUERY = """\
select pg_last_wal_replay_lsn(), right(pg_walfile_name(pg_last_wal_replay_lsn()), 16),
    ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int,
    to_char(pg_last_xact_replay_timestamp() at time zone 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
"""


def recovery_directory(instance: Instance) -> str:
    """The directory of a recovery's socket, log and WAL from the archive."""
    return f"{instance.data_directory}.pgprovision-recovery"


@dataclass(frozen=True)
class RestoreResult:
    """How a restore went, as measured on the host."""

    target: str = ""
    """The target, for people."""
    backup: str = ""
    """The label of the backup."""
    timeline: int = 0
    """The timeline after promotion."""
    lsn: str = ""
    """Where recovery ended."""
    last_transaction: str = ""
    """When the last recovered transaction was committed, in ISO 8601."""
    newest_wal: str = ""
    """When the newest WAL arrived in the repository."""
    restore_seconds: float = 0.0
    """Duration of the restore."""
    recovery_seconds: float = 0.0
    """Duration of the recovery."""
    target_not_reached: str = ""
    """Why the target was not reached, in PostgreSQL's words; empty: it was."""
    target_after_last_transaction: bool = False
    """The target is a time after the last transaction in the repository, so nothing proves what had
    been committed until then."""


NO_RESULT = RestoreResult()


def result_probe(instance: Instance) -> Probe:
    """The probe for `parse_result`."""
    return Probe(f"cat {sh(restore_result_file(instance))} 2>/dev/null")


def parse_result(answer: Answer | None) -> RestoreResult:
    """The default result where there was no restore."""
    lines = (line.partition("=") for line in (answer.text if answer else "").splitlines())
    values = {key: value for key, _, value in lines}
    began, copied, ended = (float(values.get(key) or 0) for key in ("began", "copied", "ended"))
    return RestoreResult(
        target=values.get("target", ""),
        backup=values.get("backup", ""),
        timeline=int(values.get("timeline") or 0),
        lsn=values.get("lsn", ""),
        last_transaction=values.get("last_transaction", ""),
        newest_wal=values.get("newest_wal", ""),
        restore_seconds=round(copied - began, 3) if copied else 0.0,
        recovery_seconds=round(ended - copied, 3) if ended else 0.0,
        target_not_reached=values.get("missed", ""),
        target_after_last_transaction="beyond" in values,
    )


def start_result_script(instance: Instance, **values: str) -> Iterator[str]:
    """Shell text right before the restore: writes `target`, `backup` and `newest_wal` of the
    result."""
    quoted = sh(restore_result_file(instance))
    arguments = [word for pair in values.items() for word in pair]
    yield f"printf '%s=%s\\n' {sh(*arguments)} >{quoted}"
    yield f'echo "began=$(date +%s.%N)" >>{quoted}'


def recovery_script(
    instance: Instance,
    stanza: str,
    target: RecoveryTarget,
    timeline: int,
    until_segment: str,
    archiving: bool,
) -> Iterator[str]:
    """Shell text after the restore. It fails with PostgreSQL's last lines where the target is not
    reached, and where the WAL ends before `until_segment` although there is more. `archiving`: the
    new timeline is the cluster's next one, so its history goes to the archive."""
    variables = {
        "data": instance.data_directory,
        "bin": instance.bin_directory,
        "port": str(instance.port),
        "conf": f"{instance.config_directory}/postgresql.conf",
        "work": recovery_directory(instance),
        "account": restore_result_file(instance),
        "kind": target.kind,
        "until": until_segment,
        "archiving": "yes" if archiving else "",
        "query": _RESULT_QUERY,
    }
    yield from (f"{name}={sh(value)}" for name, value in variables.items())
    yield f'postgres() {{ {as_postgres()} "$@"; }}'
    yield f'server() {{ exec {_server(instance, stanza, target, timeline)} "$@"; }}'
    yield _script()


@cache
def _script() -> str:
    return (files(__package__) / "recover.sh").read_text()


def _server(instance: Instance, stanza: str, target: RecoveryTarget, timeline: int) -> str:
    """Starts PostgreSQL without clients."""
    work, data = recovery_directory(instance), instance.data_directory
    own = (f"--pg1-path={data}", f"--spool-path={work}/spool", f"--lock-path={work}/lock")
    get = sh("pgbackrest", f"--stanza={stanza}", *own, "archive-get") + ' %f "%p"'
    settings: Mapping[str, str] = {
        "data_directory": data,
        "hba_file": f"{work}/hba",
        "ident_file": f"{work}/ident",
        "external_pid_file": "",
        "listen_addresses": "",
        "unix_socket_directories": work,
        "port": str(instance.port),
        "ssl": "off",
        "cluster_name": "restore",
        "hot_standby": "off",  # so that no setting has to be as high as it was anywhere in the WAL
        "archive_mode": "off",
        "autovacuum": "off",
        "max_logical_replication_workers": "0",  # subscriptions are the original's
        "synchronous_standby_names": "",
        "primary_conninfo": "",
        "primary_slot_name": "",
        "restart_after_crash": "off",
        "logging_collector": "off",
        "log_destination": "stderr",
        "log_line_prefix": "%m ",
        "lc_messages": "C",
        "restore_command": get,
        "recovery_target_action": "promote",
        "recovery_target_timeline": str(timeline),
        **target.recovery_settings(),
    }
    arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return as_postgres(f"{instance.bin_directory}/postgres", "-D", data, *arguments)
