"""Cases of what a host's look shows of backups, units and packages. One file, one case.

`info` is pgBackRest's answer in short; `facts` are what the machine told besides; `look` is any
other answer as it came.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgprovision.engine.model import Answer, Diff, Resource, Waiting
from pgprovision.errors import Refused
from pgprovision.resources.pgbackrest.backup import FirstBackup
from pgprovision.resources.pgbackrest.configuration import PgbackrestConf
from pgprovision.resources.pgbackrest.stanza import Stanza
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.system.packages import PackageSet
from pgprovision.resources.system.transient_unit import JobState
from pgprovision.resources.system.unit import Unit
from tests.support.covers import cases

CASES = sorted((Path(__file__).parents[1] / "cases" / "backup").glob("*.yaml"))
CONF = PgbackrestConf(on="db", stanza="main", text="[global]\nrepo1-type=s3\n")
WISHES: Mapping[str, Resource] = {
    "Stanza": Stanza(on="db", conf=CONF, instance=Instance()),
    "FirstBackup": FirstBackup(on="db", stanza="main", instance=Instance()),
    "Unit": Unit(on="db", unit="a.timer"),
    "PackageSet": PackageSet(on="db", title="tools"),
}


def wish(case: Mapping[str, Any]) -> Resource:
    fields = dict(case.get("wish", {}))
    facts = dict(case.get("facts", {}))
    if "job" in facts:
        facts["job_state"] = JobState(facts.pop("job"), facts.pop("said", ""))
    if "names" in fields:
        fields["names"] = tuple(fields["names"])
    return replace(WISHES[case["resource"]], **fields, **facts)


def info(
    system: str = "", archived: bool = False, full: str = "", held: bool = False, trouble: str = ""
) -> Answer:
    """`pgbackrest info --output=json` of a stanza; `full`: the system its full backup is of."""
    systems = list(dict.fromkeys(filter(None, (full, system))))
    status = {"code": 99, "message": trouble} if trouble else {"code": 0, "message": "ok"}
    segment = "000000010000000000000001" if archived else None
    wal = {"database": {"id": len(systems), "repo-key": 1}, "min": segment, "max": segment}
    backup = {
        "label": "20261120-103721F",
        "type": "full",
        "timestamp": {"start": 1795171041, "stop": 1795171043},
        "info": {"size": 446916976, "repository": {"delta": 14005616}},
        "archive": {"start": "00000001000000000000001F", "stop": "00000001000000000000001F"},
        "database": {"id": 1, "repo-key": 1},
        "error": False,
    }
    stanza = {
        "db": [
            {"id": n, "repo-key": 1, "system-id": int(s)} for n, s in enumerate(systems, start=1)
        ],
        "archive": [wal] if systems else [],
        "backup": [backup] if full else [],
        "repo": [{"key": 1, "status": status}],
        "status": {"lock": {"backup": {"held": held}}},
    }
    return Answer(out=json.dumps([stanza]).encode())


def answer(case: Mapping[str, Any]) -> Answer:
    if "info" in case:
        return info(**case["info"])
    look = case["look"]
    out, err = look.get("out", ""), look.get("err", "")
    return Answer(look.get("code", 0), out.encode(), err.encode())


@pytest.mark.parametrize("file", cases(CASES))
def test_backup_case(file: Path) -> None:
    case = yaml.safe_load(file.read_text())
    resource = wish(case)
    if refusal := case.get("refused"):
        with pytest.raises(Refused) as caught:
            resource.read(answer(case))
        assert refusal in caught.value.what
        assert caught.value.next
        return
    before = resource.read(answer(case))
    if isinstance(before, Waiting):
        assert case["waiting"] == before.reason
        return
    diff = Diff(before, resource.desired())
    actions = tuple(resource.change(diff)) if diff else ()
    assert list(diff.keys) == case["differs"]
    assert [action.why for action in actions] == case.get("actions", [])
    for key, value in case.get("before", {}).items():
        assert before
        assert before[key] == value
