"""The source of a standby's first data: its primary or the backup repository."""

from dataclasses import dataclass
from typing import Protocol

from pgprovision.quote import sh
from pgprovision.resources.data_directory.initdb import tablespaces_directory
from pgprovision.resources.pgbackrest import info as pgbackrest
from pgprovision.resources.pgbackrest.error_hints import error_hint_script
from pgprovision.resources.postgres.conninfo import extend
from pgprovision.resources.postgres.server.instance import Instance, as_postgres


class DataSource(Protocol):
    """A source, as shell text that root runs on the standby."""

    @property
    def description(self) -> str: ...

    def identifier_command(self) -> str:
        """Prints the system identifier of what would be copied, up to a `|`."""
        ...

    def copy_command(self, instance: Instance) -> str:
        """Fills the empty data directory; prints its progress in per cent to stdout or stderr."""
        ...

    def error_hint_script(self, variable: str) -> str:
        """Prints the cause of the message in a shell variable, where it is known."""
        ...


@dataclass(frozen=True)
class BaseBackup:
    """pg_basebackup over a replication connection, through the standby's own slot."""

    primary: str
    conninfo: str
    slot: str

    @property
    def description(self) -> str:
        return f"base backup from {self.primary} through slot {self.slot}"

    def identifier_command(self) -> str:
        connection = extend(self.conninfo, replication="true")
        return as_postgres("psql", "-XAtq", "-d", connection, "-c", "IDENTIFY_SYSTEM")

    def copy_command(self, instance: Instance) -> str:
        return as_postgres(
            *("pg_basebackup", "-d", self.conninfo, "-D", instance.data_directory),
            *("-S", self.slot, "-X", "stream", "-c", "fast", "-P"),
        )

    def error_hint_script(self, variable: str) -> str:
        return ":"  # PostgreSQL's own message is enough


@dataclass(frozen=True)
class PgbackrestRestore:
    """A backup from the repository; the newest one, unless it is given by its label.

    For a standby, WAL since then comes from the archive, then through the slot: it takes nothing
    from the primary's disk and network but that.
    """

    stanza: str
    backup_label: str = ""
    repository: int = 0

    @property
    def description(self) -> str:
        which = f" (backup {self.backup_label})" if self.backup_label else ""
        return f"restore of stanza {self.stanza}{which} from the backup repository"

    def identifier_command(self) -> str:
        info = pgbackrest.pgbackrest_command(self.stanza, "--output=json", "info")
        return f"{info} | grep -o '\"system-id\":[0-9]*' | tail -n 1 | cut -d : -f 2"

    def copy_command(self, instance: Instance) -> str:
        """`--type=none` writes no recovery settings, which would win over the rendered file;
        `restore_command` and the signal file are written by us. Tablespaces go next to the data:
        their original paths may be missing here, or be in use."""
        options = [f"--pg1-path={instance.data_directory}", "--type=none"]
        options += [f"--set={self.backup_label}"] if self.backup_label else []
        options += [f"--repo={self.repository}"] if self.repository else []
        options += ["--log-level-console=detail", "restore", "--tablespace-map-all="]
        run = pgbackrest.pgbackrest_command(self.stanza, *options)
        return f'{run}"{tablespaces_directory(instance.data_directory)}"'

    def error_hint_script(self, variable: str) -> str:
        return error_hint_script(variable)


def restore_command(stanza: str) -> str:
    """PostgreSQL's `restore_command`: fetches one WAL segment from the archive."""
    return sh("pgbackrest", f"--stanza={stanza}", "archive-get") + ' %f "%p"'
