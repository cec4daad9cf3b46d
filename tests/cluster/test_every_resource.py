"""The laws over every resource of a cluster that was brought up on real machines."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest

from pgprovision.engine import observe
from pgprovision.engine.loop import converge
from pgprovision.engine.model import Report, Tier
from pgprovision.inventory.loader.loader import load
from pgprovision.run.targets import Targets
from pgprovision.tasks import tiers
from tests.support.backup_machine import approve_restart
from tests.support.cli_user import CliUser
from tests.support.manual_changes import (
    COMMON_CHANGES,
    NOT_TESTED_BY_HAND,
    RARE_CHANGES,
    Drift,
    ManualChange,
)
from tests.support.postgres_machine import SilentObserver

pytestmark = pytest.mark.lab


class World:
    """The cluster's tiers and targets, as a run has them."""

    def __init__(self, person: CliUser, targets: Targets) -> None:
        self.person = person
        self.targets = targets
        inventory = load(person.inventory)
        self.tiers: tuple[Tier, ...] = tiers(inventory, inventory.nodes, datetime.now(UTC))

    def differs(self) -> Drift:
        """What one look finds: the differing keys by target, kind and name."""
        observed = observe.observe_tiers(self.tiers, self.targets)
        assert observed.failed == {}
        views = [observe.compare(tier, observed) for tier in self.tiers]
        changes = [change for view in views for change in view.changes]
        waiting = [resource for view in views for resource, _ in view.waiting]
        named = {(c.resource.on, c.resource.kind, c.resource.name): list(c.keys) for c in changes}
        return named | {(r.on, r.kind, r.name): ["waiting"] for r in waiting}

    def up(self) -> Report:
        return converge(self.tiers, self.targets, approve_restart, SilentObserver())


@pytest.fixture
def world(cluster: CliUser) -> Iterator[World]:
    """With targets of its own: they keep the cloud's lists until they act."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        with Targets(load(cluster.inventory)) as targets:
            yield World(cluster, targets)


def test_every_resource_when_everything_is_done_reads_as_declared(world: World) -> None:
    assert world.differs() == {}


def test_every_resource_when_everything_is_done_has_no_action(world: World) -> None:
    report = world.up()
    assert (report.changed, report.remaining, report.failed) == ([], [], {})


def test_every_kind_when_declared_has_been_broken_or_says_why_not(world: World) -> None:
    kinds = {resource.kind for tier in world.tiers for resource in tier.resources}
    broken = {
        kind for case in (*COMMON_CHANGES, *RARE_CHANGES) for _, kind, _ in _named(case.values)
    }
    unproven = kinds - broken - set(NOT_TESTED_BY_HAND)
    assert not unproven, f"say in tests/support/manual_changes.py how a hand breaks it: {unproven}"


@pytest.mark.parametrize(("hand", "named"), RARE_CHANGES)
def test_resource_when_one_key_is_broken_is_named_alone_and_repaired(
    world: World, hand: ManualChange, named: Drift
) -> None:
    hand(world.person)
    found = world.differs()  # also proves that the case before was repaired whole
    report = world.up()
    assert found == named
    assert report.remaining == []


def _named(values: Sequence[object]) -> Drift:
    _, named = values
    assert isinstance(named, dict)
    return named
