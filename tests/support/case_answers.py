"""Answers of hosts, psql, pgBackRest and the cloud as case files write them.

What is left out is filled in from `tests/cases/ROOM/_defaults.yml`, so that an answer has only what
a case is about. Other tests take a server's snapshot from here, too.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from pgprovision.engine.model import Answer, Probe
from tests.support.case_values import only

CASES = Path(__file__).parents[1] / "cases"
ANSWERS = ("answer", "objects", "stanza", "server", "databases", "file_times")


@cache
def defaults(room: str) -> Mapping[str, Any]:
    """`desired`: values by class, for `every` class that has the field. `observed`: see fill."""
    path = CASES / room / "_defaults.yml"
    return yaml.safe_load(path.read_text()) if path.exists() else {}


def answer(observed: Mapping[str, Any], probe: Probe | None = None) -> Answer:
    """`observed` of a case as a host, psql, pgBackRest or the cloud would answer."""
    only("observed", observed, ANSWERS)
    if "answer" in observed:
        only("answer", observed["answer"], ("code", "out", "err"))
        given = {"code": 0, "out": "", "err": "", **observed["answer"]}
        return Answer(given.pop("code"), **{key: text.encode() for key, text in given.items()})
    if "objects" in observed:
        objects = fill(_template("hetzner", "objects"), observed["objects"])
        return Answer(items=tuple(objects[probe.text if probe else ""]))
    if "stanza" in observed:
        stanza = fill(_template("pgbackrest", "stanza"), observed["stanza"])
        return Answer(out=json.dumps([stanza]).encode())
    row = _template("postgres", "databases")["*"]
    only("server", observed.get("server", {}), _template("postgres", "server"))
    documents = [server_row(**observed.get("server", {}))]
    for name, given in observed.get("databases", {}).items():
        only("databases", given, row)
        documents.append({"database": name, **fill(row, given)})
    lines = [f"{time} {path}" for path, time in observed.get("file_times", {}).items()]
    return Answer(out="\n".join([*lines, *map(json.dumps, documents)]).encode())


def is_collection(probe: Probe) -> bool:
    """Whether it asks the cloud."""
    return probe.text in _template("hetzner", "objects")


def server_row(**given: Any) -> dict[str, Any]:
    """A running server's row of the snapshot."""
    return fill(_template("postgres", "server"), given)


def _template(room: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = defaults(room)["observed"][kind]
    return found


def fill(template: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given`, and from `template` what it leaves out. There `{"*": ROW}` is a mapping of such
    rows, none if left out; `[ROW]` a list of them, this one if left out."""
    blank = {key: {} if isinstance(v, dict) and "*" in v else v for key, v in template.items()}
    return {**blank, **{key: _filled(template.get(key), value) for key, value in given.items()}}


def _filled(template: Any, given: Any) -> Any:
    if isinstance(template, list) and template and isinstance(template[0], dict):
        return [fill(template[0], item) for item in given]
    if isinstance(template, dict) and "*" in template:
        return {key: fill(template["*"], item) for key, item in given.items()}
    return given
