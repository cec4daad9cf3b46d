"""Whether a run may act: the plan shown and confirmed, or a name typed in full."""

import sys
from collections.abc import Callable, Sequence
from functools import partial

import typer

from pgprovision import report
from pgprovision.engine.loop import Approve
from pgprovision.engine.model import Change, Impact
from pgprovision.errors import Refused

PromptConfirmation = Callable[[Sequence[str]], str]
"""Shows what will be done and returns what a person typed."""


def confirmed_by_name(
    name: str, prompt: PromptConfirmation, owner: str = "the cluster's"
) -> Approve:
    """Allows everything. Raises Refused unless exactly this name was typed."""

    def approve(changes: Sequence[Change]) -> Impact:
        if prompt([str(change.resource) for change in changes]) != name:
            raise Refused(
                f"the name typed is not {owner}",
                done="nothing was touched",
                next=f"if it is meant, type its name in full: {name}",
            )
        return Impact.DESTROY

    return approve


def impact_approval(ceiling: Impact, *, yes: bool, quiet: bool) -> Approve:
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


def confirmation_prompt(question: str, confirm: str) -> "partial[str]":
    return partial(_prompt_confirmation, question, confirm)


def _prompt_confirmation(question: str, confirm: str, changes: Sequence[str]) -> str:
    """What was given beforehand, or what a person types now."""
    for name in changes:
        report.print_note(name)
    if confirm or not sys.stdin.isatty():
        return confirm
    return str(typer.prompt(question, err=True))
