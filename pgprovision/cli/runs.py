"""runs: what was done to a cluster from this controller, by whom, and how to take it back."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from pgprovision import record, report
from pgprovision.cli.options import Json, Options
from pgprovision.errors import InventoryError, Refused
from pgprovision.inventory.loader.cluster_name import cluster_name

VERSION = 1
SHOWN = 5  # names in a complaint
app = typer.Typer(invoke_without_command=True)
Cluster = Annotated[
    str, typer.Option(help="The cluster's name; the inventory's if not given.", metavar="NAME")
]


@app.callback()
def runs(context: typer.Context, cluster: Cluster = "", json: Json = False) -> int:
    """List the runs that were approved: when, who, what came of it. The newest is last."""
    if context.invoked_subcommand:
        return 0
    name, folder = _folder(context, cluster)
    found = [run.summary for run in record.read(folder)]
    document = {"version": VERSION, "cluster": name, "folder": str(folder), "runs": found}
    if json:
        report.emit(document)
    else:
        report.show_runs(document)
    return 0


@app.command("show")
def show(
    context: typer.Context,
    run: Annotated[
        str, typer.Argument(help="Its ID or the beginning of it, or latest.", metavar="ID")
    ],
    cluster: Cluster = "",
    json: Json = False,
) -> int:
    """Print one run's record: the plan, each act with before and after, and how to undo it."""
    _, folder = _folder(context, cluster)
    found = one(record.read(folder), run, folder)
    if json:
        report.emit(found.as_json())
    else:
        report.verbatim(found.text)
    return 0


@app.command("verify")
def verify(context: typer.Context, cluster: Cluster = "", json: Json = False) -> int:
    """Check that the records are what was written. Exit 3 where the chain is broken.

    A line or a file that was edited, cut, reordered, swapped or removed is named.
    """
    name, folder = _folder(context, cluster)
    verdicts = record.verify(folder)
    sound = all(verdict.sound for verdict in verdicts)
    document = {
        "version": VERSION,
        "cluster": name,
        "folder": str(folder),
        "sound": sound,
        "runs": [
            {"id": one.id, "state": one.state, "sound": one.sound, "text": one.text}
            for one in verdicts
        ],
    }
    if json:
        report.emit(document)
    else:
        report.show_verdicts(document)
    return 0 if sound else Refused.exit_code


def _folder(context: typer.Context, cluster: str) -> tuple[str, Path]:
    """The cluster's name, and where its records lie."""
    options: Options = context.find_root().obj
    name = cluster or cluster_name(options.inventory)
    folder = record.folder(name)
    every = folder.parent.parent
    known = sorted(path.parent.name for path in every.glob("*/runs"))
    if cluster and known and cluster not in known:
        raise InventoryError(f"no cluster {name!r} has records here", next=_one_of(name, known))
    return name, folder


def one(runs: list[record.Run], name: str, folder: Path, what: str = "run") -> record.Run:
    """Raises InventoryError where it is none of them, or several."""
    found = record.by_id(runs, name)
    if len(found) == 1:
        return found[0]
    if not runs:
        raise InventoryError(f"there is no {what} {name!r}: no records yet in {folder}")
    known = [run.id for run in found or runs]
    wrong = f"{len(found)} {what}s begin with {name!r}"
    raise InventoryError(
        wrong if found else f"there is no {what} {name!r}", next=_one_of(name, known)
    )


def _one_of(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=SHOWN, cutoff=0.5) or known[-SHOWN:]
    return f"one of: {', '.join(near)}"
