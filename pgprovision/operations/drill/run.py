"""One drill from the command line: the loop, stage after stage, and the machine gone at the end."""

import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pgprovision import report
from pgprovision.engine.loop import Approve
from pgprovision.engine.model import Answer, Ask, Change, Impact, Report, Tier
from pgprovision.errors import (
    CloudError,
    DrillFailed,
    InventoryError,
    PgprovisionError,
    Refused,
)
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.operations.drill import checks as judged
from pgprovision.operations.drill import drill as operation
from pgprovision.operations.drill.drill import Proof
from pgprovision.recovery_target import Target
from pgprovision.resources.pgbackrest import repository_files, unarchived_wal
from pgprovision.run.session import Session
from pgprovision.run.targets import Targets
from pgprovision.tasks import drill as tasks
from pgprovision.tasks.cloud import preflight
from pgprovision.tasks.paths import instance

CLEAN = "pgprovision drill --clean"
TURN = "drill-lock"  # production's runs do not wait for a drill, nor does it for them


@dataclass
class Drilling:
    """A drill under way. `whole`: the inventory with the drill's machine in it."""

    whole: Inventory
    node: Node
    target: Target
    targets: Targets
    session: Session
    approve: Approve
    json: bool
    proof: Proof
    phase: str = "machine"
    asked: bool = False
    before: Answer | None = None
    there: Mapping[Ask, Answer] = field(default_factory=dict)

    def practise(self) -> None:
        """From no machine to a judged copy. Raises PgprovisionError."""
        with self._phase("machine"):
            self._machine()
        with self._phase("packages"):
            self._stage(tasks.packages(self.whole, self.node))
            self.before = self._listed()
            self.there = self._primary()
        with self._phase("restore"):
            self._restore()
        with self._phase("checks"):
            self._check()

    def remove(self) -> None:
        """Whatever ended it, nothing stays; what could not be removed is told."""
        with self._phase("removal"):
            self._judge_repository()
            with Targets(self.whole) as after:
                self.session.follow(after)
                self.targets = after
                try:
                    self._remove()
                except PgprovisionError as error:
                    self.proof.left.append(f"{self.node.name} may still be there: {CLEAN}")
                    self.proof.failures.append(f"removal: {error.what}")
                else:
                    found = self._look(operation.aside_ask(self.whole)) if self._kept else {}
                    answer = found.get(operation.aside_ask(self.whole))
                    self.proof.left += operation.set_aside(self.whole, self.node, answer)

    @property
    def _kept(self) -> bool:
        """It is a host of somebody's, which stays."""
        return self.node.address is not None

    def _machine(self) -> None:
        targets, cloud = self.targets, self.targets.cloud
        targets.ask_cloud()
        if self.node.address is not None:
            operation.check_address(self.whole, self.node.address, self._addresses())
        item = None
        if cloud is not None and not self._kept:
            if targets.silent is not None:
                raise targets.silent
            item = operation.left_behind(cloud, self.whole)
            if item is not None:
                operation.check_left(item, owner())
                report.say_aside(f"a drill left {item['name']} behind: it goes first")
            else:
                offered = preflight(cloud, self.whole, (self.node,))
                if not self.json:
                    report.show_offers(offered, sys.stderr)
                offered.check()
        if item is not None or self._kept:
            self._remove()
        self._stage(tasks.made(self.whole, self.node, owner()))

    def _remove(self) -> None:
        answers = not self._kept and self.targets.answers(self.node)
        self._stage(tasks.removed(self.whole, self.node, answers))

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
            self._stage(tasks.copy(self.whole, self.node, self.target))
        except (InventoryError, Refused) as error:
            raise DrillFailed(
                error.what, where=error.where, done=error.done, next=error.next
            ) from error
        finally:
            seen = self._look(*judged.copy_asks(self.whole)[1:2])
            went = judged.account(self.whole, seen)
            self.proof.backup = went.backup
            if went.recovery_seconds:
                self.proof.phases["restore"] = went.restore_seconds
                took = time.monotonic() - began - went.restore_seconds
                self.proof.phases["recovery"] = max(0.0, took)

    def _check(self) -> None:
        seen = self._look(*judged.copy_asks(self.whole))
        standing = None
        if self.target.kind == "end":
            here = unarchived_wal.look(instance(self.whole))
            standing = unarchived_wal.parse(self.there.get(here))
        self.proof.checks += judged.judged(self.whole, seen, standing)
        if self.target.kind == "end":
            judged.measure(self.whole, self.proof, standing, self.there, seen)
        outcome = self._stage(tasks.sound(self.whole, self.node))
        found = tuple(judged.integrity(outcome)) or tuple(judged.clean(self.whole))
        self.proof.checks += found

    def _judge_repository(self) -> None:
        if self.before is not None:
            key = bool(self.whole.backup and self.whole.backup.repository.reads_only)
            after = self._listed()
            self.proof.checks.append(judged.repository(self.before, after, key))

    def _listed(self) -> Answer | None:
        ask = repository_files.look()
        return self._look(ask).get(ask)

    def _primary(self) -> Mapping[Ask, Answer]:
        """What production says of itself: the only thing that is asked of it, and it is read."""
        primary = self.targets[self.whole.primary.name]
        try:
            seen = primary.look(judged.standing_asks(self.whole))
        except PgprovisionError:
            seen = None
        return seen if isinstance(seen, dict) else {}

    def _look(self, *asks: Ask) -> Mapping[Ask, Answer]:
        """At the copy; nothing where it does not answer."""
        try:
            seen = self.targets[self.node.name].look(asks)
        except PgprovisionError:
            return {}
        return seen if isinstance(seen, dict) else {}

    def _stage(self, tiers: Sequence[Tier]) -> Report:
        """One call of the loop. Raises also what a single host raised."""
        outcome = Report()
        try:
            self.session.converge(tiers, self._approve, outcome)
        finally:
            self.session.outcome.changed += outcome.changed
            self.session.outcome.seconds += outcome.seconds
        for error in outcome.failed.values():
            raise error
        return outcome

    def _approve(self, changes: Sequence[Change]) -> Impact | None:
        """Asked once: for the drill, with all that belongs to it."""
        if not self.asked and self.approve(changes) is None:
            return None
        self.asked = True
        return Impact.DESTROY

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self.phase, began = name, time.monotonic()
        try:
            yield
        finally:
            self.proof.phases.setdefault(name, time.monotonic() - began)


def owner() -> str:
    """This controller, as its drill's server is labelled."""
    return operation.owner(socket.gethostname())


def drilled(
    inventory: Inventory,
    node: Node,
    target: Target,
    approve: Approve,
    *,
    json: bool,
    wait: float,
    repository: int = 1,
) -> tuple[Proof, str | None, PgprovisionError | None]:
    """Practise once: the proof, the record's file, and what it ends with."""
    whole = tasks.with_machine(inventory, node, repository)
    proof = Proof(target=str(target), repository=repository, machine=operation.described(node))
    fault: Exception | None = None
    with Targets(whole) as targets:
        session = Session("drill", inventory.cluster, targets, json=json, wait=wait, turn=TURN)
        with session:
            under_way = Drilling(whole, node, target, targets, session, approve, json, proof)
            try:
                under_way.practise()
            except PgprovisionError as error:
                session.failure = error
            except Exception as error:
                fault = error
            if session.record is None:  # nothing was begun
                if fault is not None:
                    raise fault
                return proof, None, session.failure
            if session.failure or fault:
                said = session.failure.what if session.failure else type(fault).__name__
                proof.failures.append(f"{under_way.phase}: {said}")
            under_way.remove()
            session.write("drill", **proof.as_json())
            session.failure = session.failure or _verdict(proof)
    if fault is not None:
        raise fault
    return proof, session.record, session.failure


def _verdict(proof: Proof) -> PgprovisionError | None:
    if proof.result == operation.PROVEN:
        return None
    return DrillFailed(
        f"the restore is not proven: {'; '.join(proof.failed)}",
        done="the drill's machine is removed" if not proof.left else "; ".join(proof.left),
        next="pgprovision drill show latest has all of it; mend the cause, then drill again",
    )
