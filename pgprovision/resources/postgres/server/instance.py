"""The paths of a PostgreSQL instance on Debian, and how to run SQL in it."""

from dataclasses import dataclass

from pgprovision.quote import sh
from pgprovision.resources.postgres.conninfo import extend


@dataclass(frozen=True)
class Instance:
    """An instance as postgresql-common names it: VERSION/NAME on a port."""

    version: int = 15
    name: str = "main"
    port: int = 5432

    @property
    def config_directory(self) -> str:
        return f"/etc/postgresql/{self.version}/{self.name}"

    @property
    def data_directory(self) -> str:
        return f"/var/lib/postgresql/{self.version}/{self.name}"

    @property
    def unit(self) -> str:
        return f"postgresql@{self.version}-{self.name}.service"

    @property
    def log_file(self) -> str:
        """The server's log, where Debian's wrapper puts it."""
        return f"/var/log/postgresql/postgresql-{self.version}-{self.name}.log"

    @property
    def bin_directory(self) -> str:
        return f"/usr/lib/postgresql/{self.version}/bin"

    def psql(self, database: str = "postgres") -> str:
        """Shell text that runs SQL from its stdin as the superuser, and stops at the first error.

        No password, no startup file, nothing but SQL results on stdout.
        """
        psql = f"{self.bin_directory}/psql"  # Debian's wrapper in /usr/bin costs 15 ms a call
        options = ("-XAtq", "-v", "ON_ERROR_STOP=1", "-p", str(self.port))
        return as_postgres(psql, *options, "-d", extend("", dbname=database))


def in_progress_file(instance: Instance) -> str:
    """The file next to a data directory that says: it is being created."""
    return f"{instance.data_directory}.pgprovision-making"


def restore_result_file(instance: Instance) -> str:
    """The file next to a data directory with the result of its restore."""
    return f"{instance.data_directory}.pgprovision-restored"


def as_postgres(*words: str) -> str:
    """Shell text that runs a command as the operating system's postgres user.

    By setpriv, because runuser opens a PAM session: slower, and two lines of journal each time.
    """
    become = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
    return sh(*become, "env", "HOME=/var/lib/postgresql", *words)
