"""runs: what was done to a cluster from this controller, by whom, and how to take it back."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from pgprovision import record, report
from pgprovision.cli.options import Json, Options
from pgprovision.errors import InventoryError, Refused
from pgprovision.inventory.loader.cluster_name import cluster_name

JSON_VERSION = 1
MAX_SUGGESTIONS = 5  # names in a complaint
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
    found = [run.summary for run in record.read_runs(folder)]
    document = {"version": JSON_VERSION, "cluster": name, "folder": str(folder), "runs": found}
    if json:
        report.print_json(document)
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
    found = select_run(record.read_runs(folder), run, folder)
    if json:
        report.print_json(found.as_json())
    else:
        report.print_verbatim(found.text)
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
        "version": JSON_VERSION,
        "cluster": name,
        "folder": str(folder),
        "sound": sound,
        "runs": [
            {"id": one.id, "state": one.state, "sound": one.sound, "text": one.text}
            for one in verdicts
        ],
    }
    if json:
        report.print_json(document)
    else:
        report.show_verification(document)
    return 0 if sound else Refused.exit_code


def _folder(context: typer.Context, cluster: str) -> tuple[str, Path]:
    """The cluster's name, and where its records lie."""
    options: Options = context.find_root().obj
    name = cluster or cluster_name(options.inventory)
    folder = record.records_folder(name)
    state_folder = folder.parent.parent
    known = sorted(path.parent.name for path in state_folder.glob("*/runs"))
    if cluster and known and cluster not in known:
        raise InventoryError(f"no cluster {name!r} has records here", next=_one_of(name, known))
    return name, folder


def select_run(
    runs: list[record.RunRecord], name: str, folder: Path, noun: str = "run"
) -> record.RunRecord:
    """Raises InventoryError where it is none of them, or several."""
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


def _one_of(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=MAX_SUGGESTIONS, cutoff=0.5) or known[-MAX_SUGGESTIONS:]
    return f"one of: {', '.join(near)}"
