"""Case files: what is declared, what a look shows, what follows. One file, one case.

`tests/cases/ROOM/NAME.yml`; ROOM is the resource's package below `pgprovision/resources`. What
cases leave out is in the room's `_defaults.yml`. CONTRIBUTING.md has a case to paste;
docs/testing.md says what each key means.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache
from importlib import import_module
from inspect import isabstract
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import yaml

from pgprovision import resources
from pgprovision.engine.model import Action, Answer, Need, Probe, Ref, Resource, Tier, needs_of
from pgprovision.engine.observe import Observation, TierComparison, compare
from pgprovision.errors import Refused
from pgprovision.resources.postgres.server.catalog_resource import HIDE_ACTIVITY, SESSION_SETTINGS
from tests.support.case_answers import CASES, answer, defaults, is_collection
from tests.support.case_values import CaseError, build, only

ROOMS = ("system", "hetzner", "node", "postgres", "pgbackrest", "data_directory")
GIVEN = ("resource", "desired", "observed", "facts")
EXPECTED: Mapping[str, Any] = {  # and what it is where a case does not say it
    "differs": [],
    "actions": [],
    "impact": "NONE",
    "reconnects": False,
    "blocked": "",
    "notes": [],
    "waiting": "",
    "refused": "",
    "state": {},
}


def case_files() -> list[Path]:
    return sorted(path for room in ROOMS for path in (CASES / room).glob("[!_]*.yml"))


@cache
def resource_classes() -> Mapping[str, type[Resource]]:
    """Every class of resource, by its name."""
    for module in walk_packages(resources.__path__, f"{resources.__name__}."):
        import_module(module.name)
    found = (one for one in _subclasses(Resource) if one.__module__.startswith(resources.__name__))
    return {one.__name__: one for one in found if not isabstract(one)}


def _subclasses(of: type) -> Iterator[type]:
    below: list[type] = of.__subclasses__()
    for one in below:
        yield one
        yield from _subclasses(one)


@dataclass(frozen=True)
class Case:
    """A case as it was read. What it says wrong is a CaseError."""

    file: Path
    content: Mapping[str, Any]

    @classmethod
    def read(cls, file: Path) -> "Case":
        content = yaml.safe_load(file.read_text())
        with _errors_of(file):
            only("a case", content, (*GIVEN, *EXPECTED))
            if missing := [key for key in ("resource", "observed") if key not in content]:
                raise CaseError(f"missing: {', '.join(missing)}")
            if not content.keys() & {"differs", "waiting", "refused"}:
                raise CaseError("missing: differs (or waiting, or refused)")
        return cls(file, content)

    def resource(self) -> Resource:
        with _errors_of(self.file):
            return self._resource()

    def expected(self) -> dict[str, Any]:
        return {**EXPECTED, **{k: v for k, v in self.content.items() if k not in GIVEN}}

    def outcome(self) -> dict[str, Any]:
        """What follows, in a case's words, as the loop itself compares it."""
        try:
            with _errors_of(self.file):
                resource = self._resource()
                view = compare(Tier("", (resource,)), self._observation(resource))
        except Refused as error:
            assert error.next, f"refused without a next step: {error.what}"
            part = self.content.get("refused")
            return {**EXPECTED, "refused": part if part and part in error.what else error.what}
        return {**EXPECTED, **_described(view, self.content)}

    def _resource(self) -> Resource:
        name, room = self.content["resource"], self.file.parent.name
        made = resource_classes().get(name)
        if made is None:
            raise CaseError(f"resource: no class {name} in pgprovision.resources")
        if room != (own := made.__module__.split(".")[2]):
            raise CaseError(f"resource: {name} is of {own}: its cases go into tests/cases/{own}")
        base = defaults(room).get("desired", {})
        known = {field.name for field in fields(made)}
        every = {key: value for key, value in base.get("every", {}).items() if key in known}
        values = {**every, **base.get(name, {}), **self.content.get("desired", {})}
        built: Resource = build(made, values, "desired")
        return built

    def _observation(self, resource: Resource) -> Observation:
        """The answers to all that the resource asks, and to nothing else."""
        observed, facts = self.content["observed"], self.content.get("facts", {})
        own = Need(resource.on, resource.probe())
        unused = {*facts}
        by_target: dict[str, dict[Probe, Answer]] = {own.on: {}}
        if observed is not None:
            by_target[own.on][own.probe] = answer(observed, own.probe)
        for need in (need for need in needs_of(resource) if need != own):
            answers = by_target.setdefault(need.on, {})
            for part in (part for part in facts if part == need.on or part in need.probe.text):
                unused.discard(part)
                fact = facts[part]
                given = {"answer": {"out": fact}} if isinstance(fact, str) else fact
                answers[need.probe] = answer(given, need.probe)
            if "objects" in (observed or ()) and is_collection(need.probe):
                answers[need.probe] = answer(observed, need.probe)
        if unused:
            raise CaseError(f"facts: {self.content['resource']} needs no {', '.join(unused)}")
        return Observation(dict(by_target))


@contextmanager
def _errors_of(file: Path) -> Iterator[None]:
    try:
        yield
    except CaseError as error:
        raise CaseError(f"{file}: {error}") from None


def _described(view: TierComparison, content: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison of one resource in a case's words."""
    found: dict[str, Any] = {"notes": [text for _, text in view.notes]}
    if view.waiting:
        [(_, waiting)] = view.waiting
        found["waiting"] = waiting.reason
    for change in view.changes:
        spelled = [*content.get("actions", []), *(None for _ in change.actions)]
        before = change.diff.before or {}
        found |= {
            "differs": list(change.keys),
            "actions": [_text(*pair) for pair in zip(change.actions, spelled, strict=False)],
            "impact": change.impact.name,
            "reconnects": any(action.reconnects for action in change.actions),
            "blocked": change.blocked_by.reason if change.blocked_by else "",
            "state": {key: _plain(before.get(key)) for key in content.get("state", {})},
        }
    return found


def _text(action: Action, spelled: object) -> object:
    """`why` where the case says no more; `why: shell text`, `why: [SQL]`, `METHOD /path: body`.
    Statements with a secret in them are `why: {sealed: [SQL as people see it]}`."""
    if action.text.startswith(("GET /", "POST /", "PUT /", "DELETE /")):
        return {action.text: _plain(action.body)}
    if isinstance(spelled, str):
        return action.why
    if not action.psql_session:
        return {action.why: action.text}
    if isinstance(action.stdin, bytes):
        return {action.why: _statements(action.stdin.decode())}
    return {action.why: {"sealed": _statements(action.stdin.redacted.replace(HIDE_ACTIVITY, ""))}}


def _statements(script: str) -> list[str]:
    """The SQL of a script, without what every script begins with."""
    script = script.removeprefix(SESSION_SETTINGS)
    lines = script.removeprefix("begin;\n").removesuffix("commit;\n").splitlines()
    return [line.removesuffix(";") for line in lines]


def _plain(value: object) -> object:
    """A value as YAML has it."""
    match value:
        case Ref(kind, name):
            return f"id of {kind}/{name}"
        case Mapping():
            return {key: _plain(part) for key, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
    return value
