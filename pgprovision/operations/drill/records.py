"""drill list, drill show: the drills of this controller, from the records of their runs."""

from dataclasses import dataclass
from pathlib import Path

from pgprovision import record, report
from pgprovision.inventory.loader.cluster_name import cluster_name
from pgprovision.operations.runs import select_run
from pgprovision.record import DrillRecord
from pgprovision.run.options import Options
from pgprovision.run.query import Document, Query


@dataclass(frozen=True)
class ListDrills(Query[Document]):
    """`drill list`: when, what was restored, lost, how long."""

    def look(self, options: Options) -> Document:
        cluster, folder = _records(options)
        return {
            **report.envelope(cluster=cluster),
            "folder": str(folder),
            "drills": [one.summary for one in record.drill_records(record.read_runs(folder))],
        }

    def show(self, found: Document) -> None:
        report.show_drills(found)


@dataclass(frozen=True)
class DrillOfCluster:
    """One drill, and its cluster."""

    cluster: str
    drill: DrillRecord


@dataclass(frozen=True)
class ShowDrill(Query[DrillOfCluster]):
    """`drill show ID`: one drill."""

    run: str
    """Its id, the beginning of it, or latest."""

    def look(self, options: Options) -> DrillOfCluster:
        cluster, folder = _records(options)
        drills = {one.run.path: one for one in record.drill_records(record.read_runs(folder))}
        found = select_run([one.run for one in drills.values()], self.run, folder, "drill")
        return DrillOfCluster(cluster, drills[found.path])

    def document(self, found: DrillOfCluster) -> Document:
        return {**report.envelope(cluster=found.cluster), **found.drill.as_json()}

    def show(self, found: DrillOfCluster) -> None:
        report.print_verbatim(found.drill.text)


def _records(options: Options) -> tuple[str, Path]:
    """The cluster's name, and where its records are."""
    cluster = cluster_name(options.inventory)
    return cluster, record.records_folder(cluster)
