"""The PostgreSQL cluster of a primary, created once.

A killed initdb leaves PG_VERSION and a control file behind and no `postgres` database, so neither
is a proof. A file next to the directory says that the creation is in progress: it is written before
the first file of the cluster and removed after the last. A directory with such a file never had
anybody's data and is set aside. A host with a marker, or with a configuration and no such file, had
a cluster before: whatever became of its data, no empty one is created.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Diff, Probe, Resource, State
from pgprovision.errors import Refused
from pgprovision.quote import sh
from pgprovision.resources.node.identity import MARKER_FILE
from pgprovision.resources.postgres.server.instance import (
    Instance,
    in_progress_file,
    restore_result_file,
)


def create_parent_directory(instance: Instance) -> str:
    """Shell text that creates the directory of this version's clusters, as Debian's wrappers do."""
    parent = instance.data_directory.rpartition("/")[0]
    return sh("install", "-d", "-o", "postgres", "-g", "postgres", parent)


def remove_in_progress_file(instance: Instance) -> str:
    """Shell text that ends the creation, also if the power fails right after it: were the file to
    come back, a complete cluster would be set aside."""
    path = in_progress_file(instance)
    return f"{sh('rm', '-f', path)}; {sh('sync', path.rpartition('/')[0])}"


def set_aside(directory: str) -> str:
    """Shell text that renames a directory that is in the way. Nothing is ever deleted."""
    quoted = sh(directory)
    return (
        f'if [ -d {quoted} ] && [ -n "$(ls -A {quoted})" ]; then\n'
        f"  aside={quoted}.aside-$(date -u +%Y%m%dT%H%M%SZ)-$$\n"
        f'  mv -T {quoted} "$aside"\n'
        f'  echo "set aside; to remove it: rm -r $aside" >&2\n'
        f"fi"
    )


def tablespaces_directory(directory: str) -> str:
    """A shell word: where the tablespaces of a restored data directory are, next to it. The name
    has the directory's inode, which stays the same when it is set aside."""
    return f"{sh(directory)}.tablespaces-$(stat -c %i {sh(directory)})"


def list_set_aside(directory: str) -> str:
    """Shell text that prints the former data directories and their tablespaces, a path per line."""
    quoted = sh(directory)
    return (
        f'for d in {quoted}.aside-*; do [ -d "$d" ] || continue; echo "$d"\n'
        f't={quoted}.tablespaces-$(stat -c %i "$d"); [ ! -d "$t" ] || echo "$t"; done'
    )


@dataclass(frozen=True, kw_only=True)
class PostgresCluster(Resource):
    """VERSION/NAME made by pg_createcluster with checksums, encoding and locale."""

    kind: ClassVar[str] = "PostgreSQL cluster"
    instance: Instance
    encoding: str = "UTF8"
    locale: str = "C.UTF-8"
    data_checksums: bool = True

    @property
    def name(self) -> str:
        return f"{self.instance.version}/{self.instance.name}"

    def probe(self) -> Probe:
        data, control = (
            sh(self.instance.data_directory),
            sh(f"{self.instance.bin_directory}/pg_controldata"),
        )
        config = sh(f"{self.instance.config_directory}/postgresql.conf")
        in_progress = sh(in_progress_file(self.instance))
        return Probe(
            f"if [ -e {in_progress} ]; then [ -e {MARKER_FILE} ] && exit 6\n"
            f"[ -e {sh(restore_result_file(self.instance))} ] && exit 7; exit 3; fi\n"
            f"if [ ! -e {data}/PG_VERSION ]; then\n"
            f"[ -e {MARKER_FILE} ] || [ -e {config} ] && exit 5; exit 4; fi\n"
            f"cat {data}/PG_VERSION; [ -e {data}/standby.signal ] && echo standby || echo primary\n"
            f"LC_ALL=C {control} -D {data} | sed -n 's/^Data page checksum version: *//p'"
        )

    def read(self, answer: Answer) -> State | None:
        if answer.code in (3, 4):
            return None
        if answer.code == 7:
            raise Refused(
                f"{in_progress_file(self.instance)} says that {self.instance.data_directory}"
                " is being restored from the backups: no empty cluster is created in its place",
                where=self.on,
                next="to continue the restore: pgprovision rebuild",
            )
        if answer.code in (5, 6):
            raise self._data_missing(answer.code == 6)
        version, role, *checksums = answer.text.split()
        if version != str(self.instance.version):
            raise Refused(
                f"the data directory is of PostgreSQL {version}, the inventory says"
                f" {self.instance.version}",
                where=self.on,
                next=f"put postgres.version back to {version}; major upgrades are not"
                " supported yet",
            )
        if role != "primary":
            raise Refused(
                "the inventory says primary, and the data directory is a standby's:"
                " the live role wins",
                where=self.on,
                next="pgprovision status shows who is primary; correct the roles in nodes/*.yml",
            )
        return {"version": version, "data_checksums": checksums[:1] not in ([], ["0"])}

    def _data_missing(self, in_progress: bool) -> Refused:
        data_directory, path = self.instance.data_directory, in_progress_file(self.instance)
        if in_progress:
            message = f"{path} says that {data_directory} is being created,"
            message += f" and {MARKER_FILE} says that it is finished"
            advice = (
                "if a restore was interrupted, run the same pgprovision restore --in-place again;"
            )
            advice += f" if {data_directory} is complete: rm {path};"
            advice += " if it was to be a replica's, correct the roles in nodes/*.yml"
        else:
            message = f"there was a cluster in {data_directory}, and now there is none:"
            message += " no empty one is created in its place"
            advice = "mount its disk (findmnt; /etc/fstab), or restore the last backup; to start"
            advice += f" again without the data: mv {self.instance.config_directory}"
            advice += f" {self.instance.config_directory}.aside"
        return Refused(message, where=self.on, next=advice)

    def desired(self) -> State:
        return {
            "version": str(self.instance.version),
            "data_checksums": self.data_checksums,
        }

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.before is not None:
            return  # checksums of a live cluster: shown; pg_checksums needs it stopped
        in_progress, data = in_progress_file(self.instance), self.instance.data_directory
        config = self.instance.config_directory
        command = ["pg_createcluster", "--start-conf", "manual", "--port", str(self.instance.port)]
        command += ["--encoding", self.encoding, "--locale", self.locale]
        command += [str(self.instance.version), self.instance.name]
        without = ["--", "--no-data-checksums"] if self.instance.version >= 18 else []
        command += ["--", "--data-checksums"] if self.data_checksums else without
        yield Action(
            f"make the cluster {self.name} ({self.encoding}, {self.locale}"
            f"{', checksums' if self.data_checksums else ''})",
            f"set -e\n{create_parent_directory(self.instance)}\n"
            f"touch {sh(in_progress)}; sync {sh(in_progress)}\n"
            f"{set_aside(data)}\n{set_aside(config)}\n{sh(*command)}\n"
            f"sync -f {sh(data)}; sync -f {sh(config)}\n{remove_in_progress_file(self.instance)}",
            timeout=300,
        )
