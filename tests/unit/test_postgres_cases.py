"""Cases of things inside PostgreSQL: a wish, what the snapshot shows, the SQL that follows.

One file, one case. What a case leaves out of the snapshot is filled in from SERVER, INSIDE and ROW.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgprovision.engine.model import Answer, Change, Diff, Impact, Waiting
from pgprovision.errors import Refused
from pgprovision.resources.postgres.catalog.database import Database, Schema
from pgprovision.resources.postgres.catalog.extension import Extension
from pgprovision.resources.postgres.catalog.grant import Grant
from pgprovision.resources.postgres.catalog.role import Role
from pgprovision.resources.postgres.configuration.pending_configuration import PendingConfiguration
from pgprovision.resources.postgres.configuration.setting_overrides import SettingOverrides
from pgprovision.resources.postgres.replication.slot import AbandonedSlots, Slot
from pgprovision.resources.postgres.server.catalog_resource import SESSION_SETTINGS, CatalogResource
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from pgprovision.secret import Secret
from tests.support.covers import cases

CASES = sorted((Path(__file__).parents[1] / "cases" / "postgres").glob("*.yaml"))
KINDS = (
    Database,
    Extension,
    Grant,
    PendingConfiguration,
    SettingOverrides,
    Role,
    Schema,
    Slot,
    AbandonedSlots,
)
CLASSES: Mapping[str, type[CatalogResource]] = {kind.__name__: kind for kind in KINDS}
SNAPSHOT = SnapshotQuery(Instance(), ("books",))
SERVER: Mapping[str, Any] = {
    "version": 15,
    "minor": "15.20",
    "in_recovery": False,
    "system_identifier": "71",
    "timeline": 1,
    "loaded": 1000.0,
    "contexts": {},
    "settings": {},
    "receiver": None,
    "archiver": {},
    **{key: {} for key in ("lsn", "roles", "databases", "slots")},
    "pending_restart": {},
    **{key: [] for key in ("auto_conf", "file_errors", "hba_errors")},
    **{key: [] for key in ("overrides", "replication")},
}
INSIDE: Mapping[str, Any] = {
    "extensions": {},
    "collations": [],
    "schemas": {"public": {"owner": "pg_database_owner", "acl": []}},
    **{key: [] for key in ("totals", "held", "defaults", "global_defaults")},
}
ROW: Mapping[str, Mapping[str, Any]] = {
    "roles": {
        **dict.fromkeys(("superuser", "createrole", "createdb", "replication"), False),
        "inherit": True,
        "login": True,
        "bypassrls": False,
        "connection_limit": -1,
        "verifier": None,
        "valid_until": None,
        "member_of": [],
        "owns": 0,
        "sessions": 0,
        "comment": None,
    },
    "databases": {
        "owner": "postgres",
        "encoding": "UTF8",
        "collate": "C.UTF-8",
        "ctype": "C.UTF-8",
        "allow": True,
        "connection_limit": -1,
        "comment": None,
        "acl": [],
    },
}


def answer(case: Mapping[str, Any]) -> Answer:
    """The snapshot as psql would print it."""
    server = {**SERVER, **case.get("server", {})}
    for kind, base in ROW.items():
        server[kind] = {name: {**base, **row} for name, row in server[kind].items()}
    lines = [f"{time} {path}" for path, time in case.get("file_times", {}).items()]
    lines.append(json.dumps(server))
    for database, found in case.get("inside", {}).items():
        lines.append(json.dumps({"database": database, **INSIDE, **found}))
    return Answer(out="\n".join(lines).encode())


def wish(case: Mapping[str, Any]) -> CatalogResource:
    given: dict[str, Any] = dict(case.get("wish", {}))
    given |= {key: tuple(value) for key, value in given.items() if isinstance(value, list)}
    if "password" in given:
        given["password"] = Secret(given["password"])
    if "managed" in given:
        given["managed"] = frozenset(given["managed"])
        given["declared"] = frozenset(map(tuple, given.get("declared", ())))
    return CLASSES[case["resource"]](on="db-1", snapshot=SNAPSHOT, **given)


def statements(stdin: bytes) -> list[str]:
    """The SQL of a script, without what every script begins with."""
    script = stdin.decode().removeprefix(SESSION_SETTINGS)
    lines = script.removeprefix("begin;\n").removesuffix("commit;\n").splitlines()
    return [line.removesuffix(";") for line in lines]


@pytest.mark.parametrize("path", cases(CASES))
def test_case_when_compared_then_exactly_these_statements_follow(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    resource = wish(case)
    if "refused" in case:
        with pytest.raises(Refused, match=case["refused"]):
            resource.read(answer(case))
        return
    before = resource.read(answer(case))
    assert not isinstance(before, Waiting)
    diff = Diff(before, resource.desired())
    assert list(resource.describe_changes(diff)) == case["differs"]
    if not diff:
        return
    change = Change(resource, diff, tuple(resource.change(diff)))
    if case.get("nothing_done"):
        assert change.actions == ()
        return
    assert change.impact == Impact[case.get("impact", "NONE")]
    action = change.actions[0]
    assert action.why == case.get("why", action.why)
    assert isinstance(action.stdin, Secret) == case.get("secret", False)
    if "sql" in case:
        stdin = action.stdin if isinstance(action.stdin, bytes) else action.stdin.reveal()
        assert statements(stdin) == case["sql"]
