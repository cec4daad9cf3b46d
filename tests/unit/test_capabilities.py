"""The contract of a resource: four methods, declared capabilities, checks that never act."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pkgutil import walk_packages
from textwrap import dedent
from typing import ClassVar

from pgprovision import resources
from pgprovision.engine.loop import converge, observe_only
from pgprovision.engine.model import (
    Check,
    Diff,
    Resource,
    State,
    Tier,
    WithDescription,
    WithNeeds,
    WithNotes,
    WithOrder,
    WithSecrets,
    needs_of,
    resolve,
)
from pgprovision.engine.observe import Observation
from tests.support.fake_resources import FakeTarget, NamedResource, RecordingObserver

CAPABILITIES = (WithNeeds, WithOrder, WithNotes, WithSecrets, WithDescription)
CHECKS = {
    "AbandonedSlots",
    "AcceptsWrites",
    "ArchiveBacklogCheck",
    "BackupTimerResults",
    "DiskSpaceCheck",
    "EmptyHostCheck",
    "FirstBoot",
    "LiveSettings",
    "NetworkAccessCheck",
    "NodeIdentity",
    "PendingUpgrades",
    "PostmasterCheck",
    "Preflight",
    "PrivateAddress",
    "ReleaseCompatibility",
    "SplitBrainCheck",
    "StreamingReplication",
    "UnmanagedObjects",
}


def subclasses(of: type) -> Iterator[type]:
    below: list[type] = of.__subclasses__()
    for one in below:
        yield one
        yield from subclasses(one)


def resource_classes() -> list[type[Resource]]:
    for module in walk_packages(resources.__path__, f"{resources.__name__}."):
        import_module(module.name)
    found = {one for one in subclasses(Resource) if one.__module__.startswith(resources.__name__)}
    return sorted(found, key=lambda one: one.__qualname__)


def never_acts(function: object) -> bool:
    """Whether a `change` has nothing in it but an empty return."""
    tree = ast.parse(dedent(inspect.getsource(function)))  # type: ignore[arg-type]
    body = [n for n in ast.walk(tree) if isinstance(n, ast.Return | ast.Yield | ast.YieldFrom)]
    return all(
        isinstance(node, ast.Return)
        and (node.value is None or (isinstance(node.value, ast.Tuple) and not node.value.elts))
        for node in body
    )


def test_resource_when_it_is_the_base_then_has_four_methods_and_a_name() -> None:
    public = {name for name in vars(Resource) if not name.startswith("_")}
    assert public - {"on", "kind"} == {"name", "probe", "read", "desired", "change"}
    assert Resource.__abstractmethods__ == {"name", "probe", "read", "desired", "change"}


def test_every_capability_method_when_defined_then_its_interface_is_inherited() -> None:
    """The loop asks for the interface: a method without it would never be called."""
    missing = [
        f"{one.__qualname__}.{method} needs {capability.__name__}"
        for one in resource_classes()
        for capability in CAPABILITIES
        for method in capability.__abstractmethods__
        if hasattr(one, method) and not issubclass(one, capability)
    ]
    assert missing == []


class TestCheck:
    def test_every_class_when_its_change_never_acts_then_is_a_check(self) -> None:
        idle = [
            one.__qualname__
            for one in resource_classes()
            if "change" in vars(one) and never_acts(vars(one)["change"])
        ]
        assert idle == []

    def test_every_check_when_derived_then_does_not_override_change(self) -> None:
        checks = [one for one in resource_classes() if issubclass(one, Check)]
        assert {one.__qualname__ for one in checks} == CHECKS
        assert [one for one in checks if one.change is not Check.change] == []

    def test_check_when_something_differs_then_is_reported_and_nothing_is_done(self) -> None:
        @dataclass(frozen=True, kw_only=True)
        class Colour(Check, NamedResource):
            kind: ClassVar[str] = "colour"

            def desired(self) -> State:
                return {"is": "blue"}

        host = FakeTarget("h", {"x": {"is": "red"}})
        tiers = [Tier("one", (Colour(on="h", object_name="x"),))]
        report = converge(tiers, {"h": host}, observe_only, RecordingObserver())
        assert [(change.keys, change.actions) for change in report.remaining] == [(("is",), ())]


def test_resource_when_it_has_no_needs_then_is_resolved_as_it_is() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Plain(NamedResource):
        kind: ClassVar[str] = "plain"

        def desired(self) -> State:
            return {}

        def change(self, diff: Diff):  # type: ignore[no-untyped-def]
            yield diff

    plain = Plain(on="h", object_name="x")
    assert needs_of(plain) == ()
    assert resolve(plain, Observation()) is plain
    assert (never_acts(Plain.change), never_acts(Check.change)) == (False, True)
