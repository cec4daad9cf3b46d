"""What allows a run to act: a plan that was shown and confirmed, or a name given in full."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from pgprovision import report
from pgprovision.engine.loop import Approve, observe_only
from pgprovision.engine.model import Change, Impact
from pgprovision.errors import Refused
from pgprovision.run.options import Options


class Confirmation(ABC):
    """How a verb is allowed to act."""

    @abstractmethod
    def approval(self, options: Options) -> Approve:
        """What the loop asks with the plan in its hand. Raises Refused."""

    @property
    def observes_only(self) -> bool:
        """Whether nothing can be allowed: `plan` and `drift`."""
        return False


@dataclass(frozen=True)
class ObserveOnly(Confirmation):
    """Nothing is allowed: differences are shown."""

    def approval(self, options: Options) -> Approve:
        return observe_only

    @property
    def observes_only(self) -> bool:
        return True


@dataclass(frozen=True)
class Allowed(Confirmation):
    """Nobody has to be asked: allowed by what the command is, or by an answer given before."""

    impact: Impact

    def approval(self, options: Options) -> Approve:
        return lambda changes: self.impact


@dataclass(frozen=True)
class ShowPlan(Confirmation):
    """The plan is shown and confirmed; without a terminal only --yes will do."""

    impact: Impact
    """The highest that is allowed."""

    def approval(self, options: Options) -> Approve:
        def approve(changes: Sequence[Change]) -> Impact | None:
            if not options.json:
                report.show_changes(changes, sys.stderr)
            if options.yes or not any(change.actions for change in changes):
                return self.impact
            if not sys.stdin.isatty():
                raise Refused(
                    "there is no terminal to ask on, and no --yes",
                    done="nothing was changed",
                    next="read the plan above, then run the same command with --yes",
                )
            typer.confirm(f"\nApply {len(changes)} changes?", abort=True, err=True)
            return self.impact

        return approve


@dataclass(frozen=True)
class NameConfirmation(Confirmation):
    """Everything is allowed once a name was given in full, with --confirm or at a prompt."""

    name: str
    question: str
    """Says what will be done to what."""
    given: str = ""
    """What --confirm had."""
    noun: str = "the cluster's"
    """The noun before `name` in the message where another was given."""

    def approval(self, options: Options) -> Approve:
        def approve(changes: Sequence[Change]) -> Impact:
            if self._confirmed_name(changes) != self.name:
                raise Refused(
                    f"the confirmation does not match {self.noun} name",
                    done="nothing was changed",
                    next=f"to confirm, give its name in full: {self.name}",
                )
            return Impact.DESTROY

        return approve

    def _confirmed_name(self, changes: Sequence[Change]) -> str:
        for change in changes:
            report.print_note(str(change.resource))
        if self.given or not sys.stdin.isatty():
            return self.given
        return str(typer.prompt(self.question, err=True))
