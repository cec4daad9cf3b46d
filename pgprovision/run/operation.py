"""What a verb is. `run.run` is its only caller: lock, approval, record, JSON and exit code are
written once, there.

A verb that changes something is a frozen dataclass: its fields are what a person gave with it.
`prepare` is the one method it must have; the others say where it differs from the rule.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pgprovision import report
from pgprovision.engine.loop import RunObserver
from pgprovision.engine.model import Report, Tier
from pgprovision.errors import Interrupted, PgprovisionError
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.run.approval import Confirmation
from pgprovision.run.converge import converge_once
from pgprovision.run.options import Options
from pgprovision.run.session import Session
from pgprovision.run.targets import Targets
from pgprovision.server_offers import Quote


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a verb wants, once it has looked at whatever it had to look at."""

    tiers: Sequence[Tier]
    confirmation: Confirmation
    """What allows it, and up to which impact."""
    notes: Sequence[str] = ()
    """What a person should know before they decide."""


@dataclass(kw_only=True)
class Run:
    """One run of a verb: what it has to work with, and how it went so far."""

    inventory: Inventory
    options: Options
    targets: Targets
    session: Session
    report: Report
    offers: Quote = field(default_factory=Quote)
    """The servers that this run creates, with their prices."""
    details: Mapping[str, Any] | None = None
    """What the verb's JSON says beside the report of the loop."""
    failure: PgprovisionError | None = None
    """What ended the run, where it did not end by itself."""

    @property
    def exit_code(self) -> int:
        """0 done or nothing differs, 1 something differs, 5 a host failed ..."""
        return self.failure.exit_code if self.failure else report.exit_code(self.report)

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0


class Operation(ABC):
    """A verb. Raises whatever ends it; no exit code, no JSON, no prompt of its own."""

    command: ClassVar[str]
    """As the lock, the record and the JSON call it."""
    lock_name: ClassVar[str] = "lock"
    """The controller's lock; a verb on hosts that are not the cluster's has one of its own."""
    locks_hosts: ClassVar[bool] = True
    """False: it acts on hosts that another run has locked."""
    observer: RunObserver | None = None
    """Called as the run proceeds, like progress and record."""

    def load(self, options: Options) -> Inventory:
        """The inventory, read once. A verb that adds a node does so here."""
        return load(options.inventory)

    def check(self, inventory: Inventory) -> None:  # noqa: B027 - most verbs take any inventory
        """Raises InventoryError or Refused where the inventory alone tells that this cannot be:
        before anything is connected to."""

    def server_offers(self, inventory: Inventory, targets: Targets) -> Quote:
        """What the servers cost that it creates. Only asked while the API answers."""
        return Quote()

    @abstractmethod
    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        """What it wants. May look at targets, and changes nothing.

        Raises Refused where it would not be safe, InventoryError where it makes no sense."""

    def carry_out(self, run: Run) -> None:
        """The run itself, between lock and report. One call of the loop; a verb that needs
        several has a `carry_out` of its own."""
        converge_once(self, run)

    def approved(self) -> None:  # noqa: B027 - most verbs have nothing to write down
        """It was allowed, and nothing has been sent yet: write down what a rerun has to find."""

    def details(self, run: Run) -> Mapping[str, Any]:
        """What its JSON says more where it ended well. Its hosts are still locked."""
        return {}

    def following(self, run: Run) -> "Operation | None":
        """The next part of the same command, where this one ended well and is not all."""
        return None

    def ended(self, run: Run) -> None:  # noqa: B027 - most verbs notify nobody
        """Its hosts are free and its record is closed, and nothing was reported yet: other
        notifications are sent here. Also where it failed."""

    def document(self, run: Run) -> Mapping[str, Any]:
        """Its JSON."""
        return report.run_document(
            self.command,
            run.inventory.cluster,
            run.report,
            changes=run.report.changed if run.session.record_path else run.report.remaining,
            record=run.session.record_path,
            failure=run.failure,
            offers=run.offers.as_json(),
        ) | dict(run.details or {})

    def show(self, run: Run) -> None:
        """How it went, for people; not called where it failed."""
        if run.session.record_path is None:
            report.show_differences(run.report)
        else:
            report.show_outcome(run.report, run.session.record_path)

    def show_failure(self, run: Run) -> None:
        """What people see of a run that failed, before its error."""
        if isinstance(run.failure, Interrupted):
            report.show_remaining(run.report)

    def finished(self, run: Run) -> int:
        """Its last words, also where it failed: what to type next, what is kept. The exit code."""
        return run.exit_code
