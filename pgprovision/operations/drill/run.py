"""One drill: the loop, stage after stage, and the machine gone at the end."""

import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pgprovision import report
from pgprovision.engine.endings import describe_done
from pgprovision.engine.loop import Approve
from pgprovision.engine.model import Answer, Change, Impact, Probe, Report, Tier
from pgprovision.errors import (
    CloudError,
    DrillFailed,
    InventoryError,
    PgprovisionError,
    Refused,
)
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.operations.drill import checks as judged
from pgprovision.operations.drill import drill as operation
from pgprovision.operations.drill.drill import DrillResult
from pgprovision.recovery_target import RecoveryTarget
from pgprovision.resources.pgbackrest import repository_files, unarchived_wal
from pgprovision.run.session import Session
from pgprovision.run.targets import Targets
from pgprovision.tasks import drill as tasks
from pgprovision.tasks.cloud import server_quote
from pgprovision.tasks.paths import instance

CLEAN_COMMAND = "pgprovision drill --clean"
LOCK_NAME = "drill-lock"  # production's runs do not wait for a drill, nor does it for them


@dataclass
class DrillRun:
    """A drill under way. `inventory`: the inventory with the drill's machine in it."""

    inventory: Inventory
    node: Node
    target: RecoveryTarget
    targets: Targets
    session: Session
    approve: Approve
    json: bool
    proof: DrillResult
    phase: str = "machine"
    approved: bool = False
    repository_before: Answer | None = None
    primary_answers: Mapping[Probe, Answer] = field(default_factory=dict)

    def run(self) -> None:
        """From no machine to a judged copy. Raises PgprovisionError."""
        with self._phase("machine"):
            self._prepare_machine()
        with self._phase("packages"):
            self._converge(tasks.package_tiers(self.inventory, self.node))
            self.repository_before = self._list_repository()
            self.primary_answers = self._probe_primary()
        with self._phase("restore"):
            self._restore()
        with self._phase("checks"):
            self._check()

    def remove(self) -> None:
        """Also after a failure, nothing remains; what could not be removed is reported."""
        with self._phase("removal"):
            self._judge_repository()
            with Targets(self.inventory) as after:
                self.session.continue_on(after)
                self.targets = after
                try:
                    self._remove()
                except PgprovisionError as error:
                    self.proof.leftovers.append(
                        f"{self.node.name} may still be there: {CLEAN_COMMAND}"
                    )
                    self.proof.failures.append(f"removal: {error.what}")
                else:
                    found = (
                        self._probe_copy(operation.retained_data_probe(self.inventory))
                        if self._is_spare_host
                        else {}
                    )
                    answer = found.get(operation.retained_data_probe(self.inventory))
                    self.proof.leftovers += operation.retained_data(
                        self.inventory, self.node, answer
                    )

    @property
    def _is_spare_host(self) -> bool:
        """It is a host of somebody's, which stays."""
        return self.node.address is not None

    def _prepare_machine(self) -> None:
        targets, cloud = self.targets, self.targets.cloud
        targets.check_cloud()
        if self.node.address is not None:
            operation.check_resolved_address(self.inventory, self.node.address, self._addresses())
        item = None
        if cloud is not None and not self._is_spare_host:
            if targets.cloud_error is not None:
                raise targets.cloud_error
            item = operation.leftover_server(cloud, self.inventory)
            if item is not None:
                operation.check_leftover(item, controller_label())
                report.print_note(f"a drill left {item['name']} behind: it is deleted first")
            else:
                offered = server_quote(cloud, self.inventory, (self.node,))
                if not self.json:
                    report.show_quote(offered, sys.stderr)
                offered.raise_if_unavailable()
        if item is not None or self._is_spare_host:
            self._remove()
        self._converge(tasks.machine_tiers(self.inventory, self.node, controller_label()))

    def _remove(self) -> None:
        answers = not self._is_spare_host and self.targets.is_reachable(self.node)
        self._converge(tasks.removal_tiers(self.inventory, self.node, answers))

    def _addresses(self) -> Mapping[str, str | None]:
        """Where production answers, as far as anybody says."""
        try:
            return self.targets.addresses()
        except CloudError:
            return {}

    def _restore(self) -> None:
        """A target that the repository does not hold, or a disk that is too small, is what a drill
        is there to find."""
        began = time.monotonic()
        try:
            self._converge(tasks.copy_tiers(self.inventory, self.node, self.target))
        except (InventoryError, Refused) as error:
            raise DrillFailed(
                error.what, where=error.where, done=error.done, next=error.next
            ) from error
        finally:
            answers = self._probe_copy(*judged.copy_probes(self.inventory)[1:2])
            result = judged.restore_result(self.inventory, answers)
            self.proof.backup = result.backup
            if result.recovery_seconds:
                self.proof.phases["restore"] = result.restore_seconds
                took = time.monotonic() - began - result.restore_seconds
                self.proof.phases["recovery"] = max(0.0, took)

    def _check(self) -> None:
        answers = self._probe_copy(*judged.copy_probes(self.inventory))
        recovery_point = None
        if self.target.kind == "end":
            wal_probe = unarchived_wal.unarchived_wal_probe(instance(self.inventory))
            recovery_point = unarchived_wal.parse(self.primary_answers.get(wal_probe))
        self.proof.checks += judged.check_copy(self.inventory, answers, recovery_point)
        if self.target.kind == "end":
            judged.measure_data_loss(
                self.inventory, self.proof, recovery_point, self.primary_answers, answers
            )
        outcome = self._converge(tasks.integrity_tiers(self.inventory, self.node))
        found = tuple(judged.check_integrity(outcome)) or tuple(
            judged.passed_integrity(self.inventory)
        )
        self.proof.checks += found

    def _judge_repository(self) -> None:
        if self.repository_before is not None:
            key = bool(self.inventory.backup and self.inventory.backup.repository.has_read_key)
            after = self._list_repository()
            self.proof.checks.append(judged.check_repository(self.repository_before, after, key))

    def _list_repository(self) -> Answer | None:
        probe = repository_files.listing_probe()
        return self._probe_copy(probe).get(probe)

    def _probe_primary(self) -> Mapping[Probe, Answer]:
        """The probes of production, the only ones: they read."""
        primary = self.targets[Topology.declared(self.inventory).primary.name]
        try:
            answers = primary.observe(judged.primary_probes(self.inventory))
        except PgprovisionError:
            answers = None
        return answers if isinstance(answers, dict) else {}

    def _probe_copy(self, *probes: Probe) -> Mapping[Probe, Answer]:
        """At the copy; nothing where it does not answer."""
        try:
            answers = self.targets[self.node.name].observe(probes)
        except PgprovisionError:
            return {}
        return answers if isinstance(answers, dict) else {}

    def _converge(self, tiers: Sequence[Tier]) -> Report:
        """One call of the loop. Raises also what a single host raised."""
        outcome = Report()
        try:
            self.session.converge(tiers, self._approve, outcome)
        except PgprovisionError as error:
            self._add_to_outcome(outcome)
            error.done = describe_done(self.session.outcome)
            raise
        self._add_to_outcome(outcome)
        for failure in outcome.failed.values():
            raise failure
        return outcome

    def _add_to_outcome(self, part: Report) -> None:
        """What one call of the loop did, added to what the drill did."""
        drill = self.session.outcome
        drill.changed += part.changed
        drill.unconfirmed += part.unconfirmed
        drill.seconds += part.seconds

    def _approve(self, changes: Sequence[Change]) -> Impact | None:
        """Asked once: for the drill, with all that belongs to it."""
        if not self.approved and self.approve(changes) is None:
            return None
        self.approved = True
        return Impact.DESTROY

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self.phase, began = name, time.monotonic()
        try:
            yield
        finally:
            self.proof.phases.setdefault(name, time.monotonic() - began)


def controller_label() -> str:
    """This controller, as its drill's server is labelled."""
    return operation.owner_label(socket.gethostname())
