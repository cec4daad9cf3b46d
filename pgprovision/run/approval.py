"""Whether a run may act: the plan shown and confirmed, or a name typed in full."""

import sys
from collections.abc import Callable, Sequence
from functools import partial

import typer

from pgprovision import report
from pgprovision.engine.loop import Approve
from pgprovision.engine.model import Change, Impact
from pgprovision.errors import Refused

Typed = Callable[[Sequence[str]], str]
"""Shows what will be done and returns what a person typed."""


def confirmed(name: str, typed: Typed, whose: str = "the cluster's") -> Approve:
    """Allows everything. Raises Refused unless exactly this name was typed."""

    def approve(changes: Sequence[Change]) -> Impact:
        if typed([str(change.resource) for change in changes]) != name:
            raise Refused(
                f"the name typed is not {whose}",
                done="nothing was touched",
                next=f"if it is meant, type its name in full: {name}",
            )
        return Impact.DESTROY

    return approve


def approval(ceiling: Impact, *, yes: bool, quiet: bool) -> Approve:
    """Shows the plan and asks; without a terminal only --yes will do."""

    def approve(changes: Sequence[Change]) -> Impact | None:
        if not quiet:
            report.show_changes(changes, sys.stderr)
        if not any(change.actions for change in changes):
            return ceiling
        if yes:
            return ceiling
        if not sys.stdin.isatty():
            raise Refused(
                "there is no terminal to ask on, and no --yes",
                done="nothing was touched",
                next="read the plan above, then run the same command with --yes",
            )
        typer.confirm(f"\n{len(changes)} changes. Go on?", abort=True, err=True)
        return ceiling

    return approve


def typing_of(question: str, confirm: str) -> "partial[str]":
    return partial(_typed, question, confirm)


def _typed(question: str, confirm: str, names: Sequence[str]) -> str:
    """What was given beforehand, or what a person types now."""
    for name in names:
        report.say_aside(name)
    if confirm or not sys.stdin.isatty():
        return confirm
    return str(typer.prompt(question, err=True))
