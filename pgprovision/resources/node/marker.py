"""A claim before anything is made, a marker when everything is; see `identity`."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.quote import sh
from pgprovision.resources.node import identity
from pgprovision.resources.node.identity import CLAIM, FOLDER, MARKER, fields
from pgprovision.resources.postgres.control_file import system_identifier
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.system.deferred_action import planned
from pgprovision.resources.system.file import File


def _write(on: str, path: str, content: str) -> str:
    """Shell text; the folder may be new."""
    above = FOLDER.rpartition("/")[0]
    write = File(on=on, path=path, content=content).write_text()
    return f"[ -d {FOLDER} ] || {{ mkdir {FOLDER} && {sh('sync', above)}; }}\n{write}"


@dataclass(frozen=True, kw_only=True)
class Claim(Resource):
    """`This machine is being made into NODE of CLUSTER`; a finished one needs none."""

    kind: ClassVar[str] = "claim"
    cluster: str
    node: str
    instance: Instance

    @property
    def name(self) -> str:
        return f"{self.cluster}/{self.node}"

    def probe(self) -> Ask:
        return identity.look(self.instance)

    def read(self, answer: Answer) -> State | None:
        """Of this node's or of nobody's: anything else `Identity` has refused."""
        found = identity.parse(answer)
        return None if found.claim is None and found.marker is None else self.desired()

    def desired(self) -> State:
        return {"cluster": self.cluster, "node": self.node}

    def change(self, diff: Diff) -> Iterable[Do]:
        content = json.dumps(dict(self.desired())) + "\n"
        yield Do(
            f"claim this machine for {self.name}",
            _write(self.on, CLAIM, content),
            content.encode(),
        )


@dataclass(frozen=True, kw_only=True)
class Marker(Resource):
    """Cluster, node and system identifier, written when everything before it is true, in the
    claim's place."""

    kind: ClassVar[str] = "marker"
    cluster: str
    node: str
    instance: Instance
    identifier: str = ""

    @property
    def name(self) -> str:
        return f"{self.cluster}/{self.node}"

    def probe(self) -> Ask:
        return identity.look(self.instance)

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, system_identifier(self.instance)),)

    def settled(self, facts: Facts) -> Self:
        answer = facts.get(self.on, system_identifier(self.instance))
        return replace(self, identifier=answer.text.strip() if answer else "")

    def read(self, answer: Answer) -> State | None:
        found = identity.parse(answer)
        keys = ("cluster", "node", "system_identifier")
        values = None if found.making else fields(found.marker, *keys)
        if values is None:
            return None
        return {**dict(zip(keys, values, strict=True)), "claim": found.claim is not None}

    def desired(self) -> State:
        wish = {"cluster": self.cluster, "node": self.node}
        identifier = self.identifier or "(of the cluster to be made)"
        return {**wish, "system_identifier": identifier, "claim": False}

    def change(self, diff: Diff) -> Iterable[Do]:
        why = f"mark this machine as {self.name}"
        if not self.identifier:
            yield planned(why, "there is no cluster to mark yet")
            return
        wish = {key: value for key, value in self.desired().items() if key != "claim"}
        content = json.dumps(wish, sort_keys=True) + "\n"
        write = _write(self.on, MARKER, content)
        yield Do(why, f"{write}\nrm -f {CLAIM}; sync {FOLDER}", content.encode())
