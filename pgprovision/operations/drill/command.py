"""drill, drill --clean: the runs of the loop that a drill is, and what is reported."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pgprovision import record, report
from pgprovision.engine.model import Impact
from pgprovision.errors import DrillFailed, InventoryError, PgprovisionError
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.watch_file import watch_file_of
from pgprovision.operations.drill.drill import (
    PROVEN,
    DrillResult,
    check_host,
    check_possible,
    drill_mail,
    machine_description,
)
from pgprovision.operations.drill.run import LOCK_NAME, DrillRun
from pgprovision.recovery_target import END_OF_WAL, RecoveryTarget, parse_time
from pgprovision.run.approval import ShowPlan
from pgprovision.run.notify import alarm_senders, send_all
from pgprovision.run.operation import Operation, Prepared, Run
from pgprovision.run.options import Options
from pgprovision.run.targets import Targets
from pgprovision.tasks import drill as tasks


@dataclass
class Drill(Operation):
    """`drill`: several calls of the loop in one run, and the removal whatever ended them."""

    command: ClassVar[str] = "drill"
    lock_name: ClassVar[str] = LOCK_NAME
    on: str = ""
    """The spare host's address; the inventory's, or a new server, where not given."""
    time: str = ""
    """With its zone; the end of the WAL where not given."""
    repository: int = 1
    node: Node = field(init=False)
    """The drill's machine, which is in no inventory file."""
    target: RecoveryTarget = field(init=False)
    result: DrillResult = field(init=False)
    sent: Mapping[str, bool] = field(default_factory=dict, init=False)
    """Whom the alarm reached."""

    def load(self, options: Options) -> Inventory:
        inventory = load(options.inventory)
        self.node = _machine(inventory, self.on, self.repository)
        self.target = _target(self.time)
        self.result = DrillResult(
            target=str(self.target),
            repository=self.repository,
            machine=machine_description(self.node),
        )
        return tasks.drill_inventory(inventory, self.node, self.repository)

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        """What allows it. Each of its stages has tiers of its own: see `DrillRun`."""
        return Prepared(tiers=(), confirmation=ShowPlan(Impact.DESTROY))

    def carry_out(self, run: Run) -> None:
        if not run.options.json:
            report.print_note(
                f"drill: the newest backup to {self.target}, on {self.node.name},"
                " which is deleted afterwards"
            )
        confirmation = self.prepare(run.inventory, run.targets).confirmation
        drill = DrillRun(
            inventory=run.inventory,
            node=self.node,
            target=self.target,
            targets=run.targets,
            session=run.session,
            approve=confirmation.approval(run.options),
            json=run.options.json,
            proof=self.result,
        )
        error: Exception | None = None
        try:
            drill.run()
        except Exception as caught:  # also a fault of our own: the machine is removed first
            error = caught
        if run.session.record_path is not None:
            if error is not None:
                self.result.failures.append(f"{drill.phase}: {_reason(error)}")
            drill.remove()
            run.session.record_event("drill", **self.result.event())
            run.session.failure = _result_error(self.result)
            error = error or run.session.failure
        if error is not None:
            raise error

    def ended(self, run: Run) -> None:
        if run.failure is not None and run.session.record_path is not None:
            self.sent = send_alarm(run.inventory, self.document(run))

    def document(self, run: Run) -> Mapping[str, Any]:
        failure = run.failure
        return {
            **report.envelope(command=self.command, cluster=run.inventory.cluster),
            **record.drill_document(self.result.event()),
            "record": run.session.record_path,
            "error": failure and {"type": type(failure).__name__, "message": str(failure)},
            "notified": dict(self.sent),
        }

    def show(self, run: Run) -> None:
        if run.session.record_path is not None:
            report.show_drill(self.document(run))

    def show_failure(self, run: Run) -> None:
        self.show(run)


@dataclass
class RemoveDrill(Operation):
    """`drill --clean`: the removal alone, whoever's drill it was."""

    command: ClassVar[str] = "drill --clean"
    lock_name: ClassVar[str] = LOCK_NAME
    on: str = ""
    """The spare host's address; the inventory's, or the drill's server, where not given."""
    repository: int = 1
    node: Node = field(init=False)
    """The drill's machine, which is in no inventory file."""

    def load(self, options: Options) -> Inventory:
        inventory = load(options.inventory)
        self.node = _machine(inventory, self.on, self.repository)
        return tasks.drill_inventory(inventory, self.node)

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        answers = self.node.address is None and targets.is_reachable(self.node)
        return Prepared(
            tiers=tasks.removal_tiers(inventory, self.node, answers),
            confirmation=ShowPlan(Impact.DESTROY),
        )


def send_alarm(inventory: Inventory, document: Mapping[str, Any]) -> dict[str, bool]:
    """A restore that is not proven is an alarm: to whom backup.watch says."""
    if inventory.backup is None or inventory.backup.watch is None:
        return {}
    senders = alarm_senders(watch_file_of(inventory), document, lambda: drill_mail(document))
    sent, failed = send_all(senders)
    for error in failed:
        report.print_note(f"not notified: {error}")
    return sent


def _machine(inventory: Inventory, on: str, repository: int) -> Node:
    """Where it is practised. Raises InventoryError where there is nothing to restore, or nowhere,
    and where the spare host is production."""
    spare = on or (inventory.backup.drill.host if inventory.backup else None)
    check_possible(inventory, spare, repository)
    if on:
        check_host(inventory, on)
    return tasks.drill_node(inventory, spare)


def _target(time: str) -> RecoveryTarget:
    try:
        return RecoveryTarget("time", parse_time(time)) if time else END_OF_WAL
    except ValueError as error:
        raise InventoryError(f"--time: {error}") from None


def _reason(error: Exception) -> str:
    return error.what if isinstance(error, PgprovisionError) else type(error).__name__


def _result_error(result: DrillResult) -> PgprovisionError | None:
    if result.result == PROVEN:
        return None
    return DrillFailed(
        f"the restore is not proven: {'; '.join(result.failed)}",
        done="; ".join(result.leftovers) or "the drill's machine is removed",
        next="pgprovision drill show latest has all of it; mend the cause, then drill again",
    )
