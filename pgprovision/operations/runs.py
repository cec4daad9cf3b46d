"""The runs that were approved from this controller: listed, one shown, their records verified.

They are asked for when an inventory may lack its secrets: of it, the cluster's name is enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pgprovision import record, report
from pgprovision.errors import InventoryError, Refused
from pgprovision.inventory.loader.cluster_name import cluster_name
from pgprovision.record import RunRecord
from pgprovision.run.options import Options
from pgprovision.run.query import Document, Query

MAX_SUGGESTIONS = 5  # names in an error message


@dataclass(frozen=True)
class ListRuns(Query[Document]):
    """`runs`: when, who, what came of it."""

    cluster: str = ""
    """Its name; the inventory's where not given."""

    def look(self, options: Options) -> Document:
        cluster, folder = _records(options, self.cluster)
        return {
            **report.envelope(cluster=cluster),
            "folder": str(folder),
            "runs": [run.summary for run in record.read_runs(folder)],
        }

    def show(self, found: Document) -> None:
        report.show_runs(found)


@dataclass(frozen=True)
class ShowRun(Query[RunRecord]):
    """`runs show ID`: one record."""

    run: str
    """Its id, the beginning of it, or latest."""
    cluster: str = ""
    """Its name; the inventory's where not given."""

    def look(self, options: Options) -> RunRecord:
        _, folder = _records(options, self.cluster)
        return select_run(record.read_runs(folder), self.run, folder)

    def document(self, found: RunRecord) -> Document:
        return {**report.envelope(), **found.as_json()}

    def show(self, found: RunRecord) -> None:
        report.print_verbatim(found.text)


@dataclass(frozen=True)
class VerifyRuns(Query[Document]):
    """`runs verify`: whether the records are what was written."""

    cluster: str = ""
    """Its name; the inventory's where not given."""

    def look(self, options: Options) -> Document:
        cluster, folder = _records(options, self.cluster)
        verdicts = record.verify(folder)
        return {
            **report.envelope(cluster=cluster),
            "folder": str(folder),
            "valid": all(verdict.valid for verdict in verdicts),
            "runs": [
                {"id": one.id, "state": one.state, "valid": one.valid, "detail": one.detail}
                for one in verdicts
            ],
        }

    def show(self, found: Document) -> None:
        report.show_verification(found)

    def exit_code(self, found: Document) -> int:
        return 0 if found["valid"] else Refused.exit_code


def select_run(runs: list[RunRecord], name: str, folder: Path, noun: str = "run") -> RunRecord:
    """Raises InventoryError where no run matches, or several do."""
    found = record.find_runs(runs, name)
    if len(found) == 1:
        return found[0]
    if not runs:
        raise InventoryError(f"there is no {noun} {name!r}: no records yet in {folder}")
    known = [run.id for run in found or runs]
    message = f"{len(found)} {noun}s begin with {name!r}"
    raise InventoryError(
        message if found else f"there is no {noun} {name!r}", next=_one_of(name, known)
    )


def _records(options: Options, cluster: str) -> tuple[str, Path]:
    """The cluster's name, and where its records are."""
    name = cluster or cluster_name(options.inventory)
    folder = record.records_folder(name)
    state_folder = folder.parent.parent
    known = sorted(path.parent.name for path in state_folder.glob("*/runs"))
    if cluster and known and cluster not in known:
        raise InventoryError(f"no cluster {name!r} has records here", next=_one_of(name, known))
    return name, folder


def _one_of(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=MAX_SUGGESTIONS, cutoff=0.5) or known[-MAX_SUGGESTIONS:]
    return f"one of: {', '.join(near)}"
