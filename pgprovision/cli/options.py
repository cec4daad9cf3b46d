"""Options that every verb shares, and the one way from a verb's options to its run."""

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pgprovision.engine.model import Impact
from pgprovision.report.document import JSON_VERSION
from pgprovision.run.options import Options

if TYPE_CHECKING:
    from pgprovision.run.operation import Operation
    from pgprovision.run.query import Query

__all__ = [
    "Address",
    "Allow",
    "AllowedImpact",
    "Json",
    "Location",
    "Options",
    "PrivateIp",
    "Scope",
    "ServerType",
    "Yes",
    "options_of",
    "run",
    "run_query",
]

Json = Annotated[
    bool, typer.Option("--json", help=f"One JSON document on stdout, version {JSON_VERSION}.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; do what the plan says.")]
Scope = Annotated[
    str, typer.Argument(help="primary, replicas, a node's name, or all.", metavar="[SCOPE]")
]


class AllowedImpact(Enum):
    """The highest impact a verb may have without stopping to say so."""

    reload = "reload"
    restart = "restart"

    @property
    def impact(self) -> Impact:
        """The same for the loop."""
        return Impact[self.value.upper()]


Allow = Annotated[
    AllowedImpact, typer.Option(help="The highest impact on a running server: reload or restart.")
]

# What a new node is made of: add-replica, restore --to.
PrivateIp = Annotated[
    str, typer.Option(help="The new node's private address; the next free one if not given.")
]
Address = Annotated[str, typer.Option(help="An existing host to use, by name or address.")]
ServerType = Annotated[str, typer.Option(help="Hetzner's name; the inventory's if not given.")]
Location = Annotated[str, typer.Option(help="Hetzner's name; the inventory's if not given.")]


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
