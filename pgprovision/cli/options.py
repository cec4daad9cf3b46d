"""Options that every verb shares, and the one way from a verb's options to its run."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgprovision.run.options import Options

if TYPE_CHECKING:
    from pgprovision.run.operation import Operation
    from pgprovision.run.query import Query

__all__ = ["Json", "Options", "Yes", "options_of", "run", "run_query"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, version 1.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; do what the plan says.")]


def options_of(context: typer.Context, *, json: bool = False, yes: bool = False) -> Options:
    """What stands before the verb, and what was given with it."""
    given: Options = context.find_root().obj
    return replace(given, json=json, yes=yes)


def run(
    operation: "Operation", context: typer.Context, *, json: bool = False, yes: bool = False
) -> int:
    """The one call of a verb that changes something; the exit code."""
    from pgprovision.run.run import run as run_operation

    return run_operation(operation, options_of(context, json=json, yes=yes))


def run_query(query: "Query[Any]", context: typer.Context, *, json: bool = False) -> int:
    """The one call of a verb that changes nothing; the exit code."""
    from pgprovision.run.query import run_query as look

    return look(query, options_of(context, json=json))
