"""The claim file, written first, and the marker, written last; see `identity`."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Action,
    Answer,
    Diff,
    Facts,
    Need,
    Probe,
    Resource,
    State,
    WithNeeds,
)
from pgprovision.quote import sh
from pgprovision.resources.node import identity
from pgprovision.resources.node.identity import (
    CLAIM_FILE,
    MARKER_FILE,
    PGPROVISION_DIRECTORY,
    json_fields,
)
from pgprovision.resources.postgres.control_file import system_identifier_probe
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.system.deferred_action import deferred
from pgprovision.resources.system.file import File


def _write(on: str, path: str, content: str) -> str:
    """Shell text that writes the file; the directory may not exist yet."""
    above = PGPROVISION_DIRECTORY.rpartition("/")[0]
    write = File(on=on, path=path, content=content).write_command()
    make = f"mkdir {PGPROVISION_DIRECTORY} && {sh('sync', above)}"
    return f"[ -d {PGPROVISION_DIRECTORY} ] || {{ {make}; }}\n{write}"


@dataclass(frozen=True, kw_only=True)
class ClaimFile(Resource):
    """`This host is being made into NODE of CLUSTER`. A finished one needs none."""

    kind: ClassVar[str] = "claim file"
    cluster: str
    node: str
    instance: Instance

    @property
    def name(self) -> str:
        return f"{self.cluster}/{self.node}"

    def probe(self) -> Probe:
        return identity.identity_probe(self.instance)

    def read(self, answer: Answer) -> State | None:
        """It is this node's, or missing: `NodeIdentity` has refused everything else."""
        found = identity.parse(answer)
        return None if found.claim is None and found.marker is None else self.desired()

    def desired(self) -> State:
        return {"cluster": self.cluster, "node": self.node}

    def change(self, diff: Diff) -> Iterable[Action]:
        content = json.dumps(dict(self.desired())) + "\n"
        yield Action(
            f"claim this machine for {self.name}",
            _write(self.on, CLAIM_FILE, content),
            content.encode(),
        )


@dataclass(frozen=True, kw_only=True)
class IdentityMarker(Resource, WithNeeds):
    """Cluster, node and system identifier. Written in the claim file's place once everything before
    it is true."""

    kind: ClassVar[str] = "identity marker"
    cluster: str
    node: str
    instance: Instance
    identifier: str = ""

    @property
    def name(self) -> str:
        return f"{self.cluster}/{self.node}"

    def probe(self) -> Probe:
        return identity.identity_probe(self.instance)

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, system_identifier_probe(self.instance)),)

    def resolved(self, facts: Facts) -> Self:
        answer = facts.get(self.on, system_identifier_probe(self.instance))
        return replace(self, identifier=answer.text.strip() if answer else "")

    def read(self, answer: Answer) -> State | None:
        found = identity.parse(answer)
        keys = ("cluster", "node", "system_identifier")
        values = None if found.in_progress else json_fields(found.marker, *keys)
        if values is None:
            return None
        return {**dict(zip(keys, values, strict=True)), "claim": found.claim is not None}

    def desired(self) -> State:
        state = {"cluster": self.cluster, "node": self.node}
        identifier = self.identifier or "(known after initdb)"
        return {**state, "system_identifier": identifier, "claim": False}

    def change(self, diff: Diff) -> Iterable[Action]:
        why = f"mark this machine as {self.name}"
        if not self.identifier:
            yield deferred(why, "there is no cluster to mark yet")
            return
        document = {key: value for key, value in self.desired().items() if key != "claim"}
        content = json.dumps(document, sort_keys=True) + "\n"
        write = _write(self.on, MARKER_FILE, content)
        yield Action(
            why, f"{write}\nrm -f {CLAIM_FILE}; sync {PGPROVISION_DIRECTORY}", content.encode()
        )
