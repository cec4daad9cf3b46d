"""A plan in a file: read in daylight, carried out later, and only if it is still the same plan."""

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pgprovision.engine.loop import Approve
from pgprovision.engine.model import Change, Impact
from pgprovision.errors import InventoryError, Refused
from pgprovision.inventory.edit.atomic_write import replace_file
from pgprovision.report import change_as_json
from pgprovision.run.approval import Confirmation
from pgprovision.run.options import Options

PLAN_VERSION = 1
HASHED_FOLDERS = (
    "nodes",
    "templates",
    "secrets",
)  # and the files beside them; known_hosts is not ours
MAX_SHOWN_DIFFERENCES = 12
STEP_KEYS = {"target": "on", "differing_keys": "keys"}
"""A key of a change in JSON documents, and the same in plans of this version."""


@dataclass(frozen=True)
class SavedPlan:
    """What was to be done for a scope, with which inventory, when. Steps are the changes of
    `--json` by the keys of version 1, with their actions; secrets masked. `files`: digests,
    salted, of the inventory's files."""

    cluster: str
    scope: str
    made: str
    salt: str
    files: Mapping[str, str]
    steps: Sequence[Mapping[str, Any]]
    version: int = PLAN_VERSION

    def check_inventory(self, folder: Path, cluster: str) -> None:
        """Raises Refused where it is not the inventory that the plan was made from."""
        if cluster != self.cluster:
            raise Refused(
                f"the plan is for cluster {self.cluster}, the inventory for {cluster}",
                done="nothing was changed",
                next="pgprovision -i INVENTORY plan --out FILE",
            )
        now = dict(_digests(folder, self.salt))
        names = sorted({*now, *self.files})
        changed = [name for name in names if now.get(name) != self.files.get(name)]
        if changed:
            raise self._stale(f"the inventory has changed: {', '.join(changed)}")

    def check_steps(self, changes: Sequence[Change]) -> None:
        """Raises Refused, with the difference, where something else would be done now."""
        now = {_name(step): step for step in _steps(changes)}
        saved = {_name(step): step for step in self.steps}
        differing = [f"  + {name}: now also" for name in now if name not in saved]
        differing += [f"  - {name}: no longer" for name in saved if name not in now]
        differing += [
            f"  ~ {name}: {', '.join(k for k in step if step[k] != saved[name].get(k))} differ"
            for name, step in now.items()
            if name in saved and step != saved[name]
        ]
        if differing:
            omitted = (
                [f"  and {len(differing) - MAX_SHOWN_DIFFERENCES} more"]
                if len(differing) > MAX_SHOWN_DIFFERENCES
                else []
            )
            lines = "\n".join([*differing[:MAX_SHOWN_DIFFERENCES], *omitted])
            raise self._stale(f"the plan would be different now\n{lines}")

    def _stale(self, why: str) -> Refused:
        return Refused(
            f"the plan made at {self.made} is stale: {why}",
            done="nothing was changed",
            next="pgprovision plan --out FILE makes a new one; read it, then the same command",
        )


@dataclass(frozen=True)
class AsSaved(Confirmation):
    """A plan that was saved, and read by a person, is carried out while it is still the plan."""

    plan: SavedPlan
    impact: Impact
    """The highest that is allowed."""

    def approval(self, options: Options) -> Approve:
        def approve(changes: Sequence[Change]) -> Impact:
            self.plan.check_steps(changes)
            return self.impact

        return approve


def save_plan(
    path: Path, folder: Path, cluster: str, scope: str, changes: Sequence[Change]
) -> None:
    """Keep what a plan found."""
    salt = secrets.token_hex(8)
    plan = SavedPlan(
        cluster=cluster,
        scope=scope,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        salt=salt,
        files=dict(_digests(folder, salt)),
        steps=_steps(changes),
    )
    try:
        replace_file(path, json.dumps(vars(plan), indent=2, ensure_ascii=False).encode(), 0o600)
    except OSError as error:
        raise InventoryError(f"the plan cannot be written: {error}", where=str(path)) from error


def load_plan(path: Path) -> SavedPlan:
    """Raises InventoryError where it is no plan of this release."""
    try:
        found = json.loads(path.read_text())
        if (number := found["version"]) == PLAN_VERSION:
            return SavedPlan(**found)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InventoryError(
            f"not a saved plan: {error}",
            where=str(path),
            next="pgprovision plan --out FILE makes one",
        ) from error
    raise InventoryError(
        f"a saved plan of version {number}, of another release; this release reads {PLAN_VERSION}",
        where=str(path),
        next="pgprovision plan --out FILE makes one",
    )


def _digests(folder: Path, salt: str) -> Iterator[tuple[str, str]]:
    paths = [*folder.glob("*.yml")]
    for name in HASHED_FOLDERS:
        paths += [path for path in (folder / name).rglob("*") if path.is_file()]
    for path in sorted(paths):
        digest = hashlib.sha256(salt.encode() + path.read_bytes()).hexdigest()
        yield str(path.relative_to(folder)), digest


def _steps(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """As they are after a trip through JSON."""
    steps = [
        {STEP_KEYS.get(key, key): value for key, value in change_as_json(change).items()}
        | {"actions": [[do.why, do.text] for do in change.actions]}
        for change in changes
        if change.actions
    ]
    found: list[dict[str, Any]] = json.loads(json.dumps(steps))
    return found


def _name(step: Mapping[str, Any]) -> str:
    return f"{step['on']}: {step['kind']} {step['name']}"
