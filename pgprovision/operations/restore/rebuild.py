"""A cluster of which nothing is left but the inventory, its secrets and the repository.

The primary comes back as the newest backup and all the WAL after it have it, on a new timeline of
the same history. Refused while any of the cluster's nodes still has its data: those are newer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from pgprovision import report, tasks
from pgprovision.engine.model import Tier
from pgprovision.engine.observe import Target as Machine
from pgprovision.errors import PgprovisionError, Refused
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.operations.restore.restorable import require_backup
from pgprovision.operations.restore.result import restore_result
from pgprovision.recovery_target import NOTHING_CHANGED
from pgprovision.resources.node import identity
from pgprovision.run.approval import NameConfirmation
from pgprovision.run.operation import Operation, Prepared, Run
from pgprovision.run.targets import Targets
from pgprovision.server_offers import Quote
from pgprovision.tasks import intent
from pgprovision.tasks.cloud import server_quote
from pgprovision.tasks.paths import instance

PHASES = ("machine", "packages", "data")  # of tiers, as tasks/ has them; all others are `other`


@dataclass(frozen=True)
class Rebuild(Operation):
    """`rebuild`: the primary, from the repository alone."""

    command: ClassVar[str] = "rebuild"
    confirm: str = ""
    """The cluster's name, to confirm without a prompt."""
    observer: report.PhaseTimer = field(default_factory=report.PhaseTimer, init=False)
    began: datetime = field(default_factory=lambda: datetime.now(UTC), init=False)

    def check(self, inventory: Inventory) -> None:
        require_backup(inventory)

    def server_offers(self, inventory: Inventory, targets: Targets) -> Quote:
        return server_quote(targets.cloud, inventory, (inventory.primary,))

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        notes = check(inventory, targets)
        return Prepared(
            tiers=tiers(inventory, datetime.now(UTC)),
            notes=notes,
            confirmation=NameConfirmation(
                inventory.cluster,
                f"Type {inventory.cluster} to bring it back from its backups",
                given=self.confirm,
            ),
        )

    def details(self, run: Run) -> Mapping[str, Any]:
        restored = restore_result(run.inventory, run.inventory.primary, run.targets)
        seconds = self.observer.seconds_by_phase(PHASES)
        return {"restored": restored} | rebuild_document(restored, seconds, self.began)

    def show(self, run: Run) -> None:
        if run.details:
            report.show_restore_result(run.inventory.primary.name, run.details["restored"])
            report.show_rebuild(run.details)
        super().show(run)

    def finished(self, run: Run) -> int:
        if run.succeeded and not run.options.json:
            report.print_line("next: pgprovision up brings the replicas back; then take a backup")
        return run.exit_code


def check(inventory: Inventory, targets: Mapping[str, Machine]) -> tuple[str, ...]:
    """Raises Refused where a node still has data, Unreachable where the primary's machine is there
    and does not answer. Returns what could not be asked."""
    silent = []
    for node in inventory.members:
        try:
            _check_node(inventory, node, targets[node.name])
        except Refused:
            raise
        except PgprovisionError as error:
            if node.is_primary:
                raise
            silent.append(f"{node.name} does not answer: {error.what}")
    return tuple(silent)


def _check_node(inventory: Inventory, node: Node, target: Machine) -> None:
    probe = identity.identity_probe(instance(inventory))
    answers = target.observe((probe,))
    if not isinstance(answers, Mapping):
        return
    found = identity.parse(answers[probe])
    if found.marker is None and (found.in_progress or not found.has_data):
        return
    role = "the primary" if node.is_primary else "a replica"
    raise Refused(
        f"{node.name} answers and has its data: the cluster is not gone",
        where=node.name,
        done=NOTHING_CHANGED,
        next=f"pgprovision status shows how {role} is; to put an older state in its place:"
        f" pgprovision restore --in-place {inventory.primary.name}",
    )


def tiers(inventory: Inventory, now: datetime) -> tuple[Tier, ...]:
    """Everything the primary should be, its data from the backups."""
    topology = Topology.declared(inventory)
    nodes, intents = (topology.primary,), {topology.primary.name: intent.Rebuild()}
    return tasks.tiers(inventory, nodes, now, topology=topology, intents=intents)


def rebuild_document(
    restored: object, seconds: Mapping[str, float], began: datetime
) -> dict[str, object]:
    """What was lost and how long it took, for `rebuild --json`. `seconds` since the last
    transaction that came back: nothing tells when the old primary took its last one."""
    account = dict(restored) if isinstance(restored, Mapping) else {}
    data = seconds.get("data", 0.0)
    restore_seconds, recovery_seconds = (
        float(account.get(f"{w}_seconds", 0.0)) for w in ("restore", "recovery")
    )
    phases = {name: value for name, value in seconds.items() if name != "data"}
    phases |= {"restore": restore_seconds, "recovery": recovery_seconds}
    phases["other"] = round(
        phases.get("other", 0.0) + max(0.0, data - restore_seconds - recovery_seconds), 3
    )
    last = str(account.get("last_transaction", ""))
    since = (began - datetime.fromisoformat(last)).total_seconds() if last else None
    lost = {
        "committed_after": last or None,
        "newest_wal": account.get("newest_wal"),
        "seconds": since,
    }
    return {"data_loss": lost, "phases": phases}
