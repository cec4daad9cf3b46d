"""explain: the plan as a runbook of shell, SQL and HTTP calls, for whoever does it by hand."""

import typer

from pgprovision.cli.options import Scope, run_query


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(context: typer.Context, scope: Scope = "all") -> int:
    """Print the plan as a runbook to do by hand: shell, SQL and curl, runnable as printed.

    It is what `up` would send, from the same look; nothing is changed. Secrets are replaced by
    where they come from. Exit 1 where something differs.
    """
    from pgprovision.operations.explain import Explain

    return run_query(Explain(scope), context)
