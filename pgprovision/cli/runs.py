"""runs: what was done to a cluster from this controller, by whom, and how to take it back."""

from typing import Annotated

import typer

from pgprovision.cli.options import Json, run_query

app = typer.Typer(invoke_without_command=True)
Cluster = Annotated[
    str, typer.Option(help="The cluster's name; the inventory's if not given.", metavar="NAME")
]


@app.callback()
def runs(context: typer.Context, cluster: Cluster = "", json: Json = False) -> int:
    """List the runs that were approved: when, who, what came of it. The newest is last."""
    if context.invoked_subcommand:
        return 0
    from pgprovision.operations.runs import ListRuns

    return run_query(ListRuns(cluster), context, json=json)


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
    from pgprovision.operations.runs import ShowRun

    return run_query(ShowRun(run, cluster), context, json=json)


@app.command("verify")
def verify(context: typer.Context, cluster: Cluster = "", json: Json = False) -> int:
    """Check that the records are what was written. Exit 3 where they are not intact.

    A line or a file that was edited, cut, reordered, swapped or removed is named.
    """
    from pgprovision.operations.runs import VerifyRuns

    return run_query(VerifyRuns(cluster), context, json=json)
