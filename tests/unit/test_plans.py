"""The whole plan of each verb, tier by tier, compared with tests/plans/VERB.txt.

A plan that is meant to change is written again with `python -m tests.unit.test_plans`; read the
difference before it is kept.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pgprovision.engine.model import Answer, Probe, Tier
from pgprovision.hetzner_labels import cluster_labels
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.operations import (
    adopt,
    reclone,
    remove_replica,
    resize,
    rotate_passphrase,
    rotate_password,
)
from pgprovision.operations.reclone import ExistingData
from pgprovision.operations.restore import rebuild, restore
from pgprovision.recovery_target import END_OF_WAL, recovery_target
from pgprovision.secret import Secret
from pgprovision.tasks import drill, tiers
from tests.support.inventory_folders import lab_inventory

NOW = datetime(2026, 12, 1, tzinfo=UTC)
PLANS = Path(__file__).parents[1] / "plans"
PRIMARY, FIRST, SECOND, COPY = (f"server-postgres-{n}" for n in ("1", "2", "3", "copy"))
TARGET = recovery_target({"time": "2026-11-29 03:00+01:00"})
EXISTING = {PRIMARY: ExistingData("11", standby=False), FIRST: ExistingData("12")}
ALL_EXISTING = EXISTING | {SECOND: ExistingData("13"), COPY: ExistingData("14", standby=False)}


def lab_cluster(folder: Path, patch: pytest.MonkeyPatch) -> Inventory:
    """The lab's cluster with two replicas (one seeded from the backups) and a copy."""
    path = lab_inventory(folder / "inventory", patch.setenv)
    add_node(path, NewNode(name=FIRST))
    add_node(path, NewNode(name=SECOND, clone_from="backup"))
    add_node(path, NewNode(name=COPY, role="copy", restore={"xid": "745", "exclusive": True}))
    return load(path)


class Project:
    """A Hetzner project with the primary's server, and a larger type for it."""

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer]:
        small, large = (
            {
                "name": name,
                "architecture": "x86",
                "cpu_type": "dedicated",
                "cores": cores,
                "memory": 4 * cores,
                "disk": 80,
                "prices": [{"location": "ash", "price_monthly": {"net": "12.5"}}],
                "locations": [{"name": "ash", "available": True}],
            }
            for name, cores in (("ccx03", 1), ("ccx13", 2))
        )
        server = {
            "name": PRIMARY,
            "labels": cluster_labels("hcb-lab"),
            "server_type": small,
            "primary_disk_size": 80,
            "location": {"name": "ash"},
        }
        items = {"servers": (server,), "server_types": (small, large)}
        pricing = ({"currency": "EUR"},)
        return {probe: Answer(items=items.get(probe.text, pricing)) for probe in probes}


def plans(inventory: Inventory) -> dict[str, Sequence[Tier]]:
    """What each verb plans for the lab's cluster."""
    primary, first = inventory.primary, inventory.node(FIRST)
    copy = inventory.node(COPY)
    node = drill.drill_node(inventory, None)
    cluster = drill.drill_inventory(inventory, node)
    removal = remove_replica.RemovalRequest(FIRST, first, True, (inventory.node(SECOND),), False)
    return {
        "all": tiers(inventory, inventory.nodes, NOW),
        "primary": tiers(inventory, (primary,), NOW),
        "primary-and-replica": tiers(inventory, (primary, first), NOW, (inventory.node(SECOND),)),
        "replica": tiers(inventory, (first,), NOW),
        "replica-with-peers": tiers(inventory, (first,), NOW, (inventory.node(SECOND),)),
        "copy": tiers(inventory, (copy,), NOW),
        "restore-onto-primary": restore.tiers(inventory, primary, TARGET, ALL_EXISTING, NOW),
        "restore-onto-copy": restore.tiers(inventory, copy, TARGET, ALL_EXISTING, NOW),
        "reclone": reclone.tiers(inventory, first, ALL_EXISTING[FIRST], NOW),
        "rebuild": rebuild.tiers(inventory, NOW),
        "resize": resize.plan_resize(Project(), inventory, primary, reachable=True).tiers,
        "adopt": adopt.tiers(inventory, primary),
        "rotate-login": rotation(inventory, "rails"),
        "rotate-replication": rotation(inventory, "replicator"),
        "rotate-cipher": rotate_passphrase.tiers(
            rotate_passphrase.RotationStep("kept", inventory), {}
        ),
        "remove-replica": remove_replica.tiers(inventory, removal),
        "drill": (
            *drill.machine_tiers(cluster, node, "me"),
            *drill.package_tiers(cluster, node),
            *drill.copy_tiers(cluster, node, END_OF_WAL),
            *drill.integrity_tiers(cluster, node),
            *drill.removal_tiers(cluster, node, reachable=True),
        ),
    }


def rotation(inventory: Inventory, role: str) -> Sequence[Tier]:
    """A new password for a role, with a first replica that answers."""
    current = rotate_password.PasswordRotation(role, Path("file"), Secret("new", "test"), True)
    return rotate_password.tiers(inventory, current, (inventory.node(FIRST),))


def plan_text(plan: Sequence[Tier]) -> str:
    """Each tier's title, and below it every resource with its target, without what differs from
    test to test: the inventory's folder and the name made of a random key."""
    lines = []
    for tier in plan:
        lines.append(tier.title)
        lines += [f"    {resource.on}: {resource}" for resource in tier.resources]
    text = "\n".join(lines) + "\n"
    return re.sub(r"(?<=ssh key hcb-lab-)\w+|/\S+(?=/nodes/)", "...", text)


@pytest.fixture(scope="module")
def planned_tiers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sequence[Tier]]:
    with pytest.MonkeyPatch.context() as patch:
        return plans(lab_cluster(tmp_path_factory.mktemp("plans"), patch))


@pytest.mark.parametrize("name", sorted(path.stem for path in PLANS.glob("*.txt")))
def test_plan_when_made_then_its_tiers_and_resources_are_in_this_order(
    planned_tiers: Mapping[str, Sequence[Tier]], name: str
) -> None:
    assert (
        plan_text(planned_tiers[name]).splitlines()
        == (PLANS / f"{name}.txt").read_text().splitlines()
    )


def test_every_plan_when_made_then_has_its_file(
    planned_tiers: Mapping[str, Sequence[Tier]],
) -> None:
    assert set(planned_tiers) == {path.stem for path in PLANS.glob("*.txt")}


def _write() -> None:
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        folder = Path(stack.enter_context(TemporaryDirectory()))
        PLANS.mkdir(exist_ok=True)
        for name, plan in plans(lab_cluster(folder, patch)).items():
            (PLANS / f"{name}.txt").write_text(plan_text(plan))


if __name__ == "__main__":
    _write()
