"""Whose machine this is: a claim before anything is made, a marker when everything is.

Existence is never judged by a port, a unit or PG_VERSION. The claim says that this run may build
here; the marker, written last, ties cluster, node and PostgreSQL's system identifier together.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.errors import Refused
from pgprovision.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.quote import sh
from pgprovision.resources.file import File
from pgprovision.resources.instance import Instance, note
from pgprovision.resources.planned import planned

FOLDER = "/etc/pgprovision"
CLAIM = f"{FOLDER}/claim.json"
MARKER = f"{FOLDER}/marker.json"


def system_identifier(instance: Instance) -> Ask:
    """PostgreSQL's own number for a cluster, from its control file. Empty where there is none."""
    control = sh(f"{instance.bin}/pg_controldata", "-D", instance.data_directory)
    return Ask(f"LC_ALL=C {control} 2>/dev/null | sed -n 's/^Database system identifier: *//p'")


def _owner(text: str) -> tuple[str, str]:
    """Cluster and node of a claim or marker; a damaged one belongs to nobody we know."""
    try:
        found = json.loads(text)
        return str(found["cluster"]), str(found["node"])
    except (ValueError, KeyError, TypeError):
        return "?", "?"


@dataclass(frozen=True, kw_only=True)
class Claim(Resource):
    """`This machine is being made into NODE of CLUSTER`. Refused where somebody else is."""

    kind: ClassVar[str] = "claim"
    cluster: str
    node: str
    instance: Instance

    @property
    def name(self) -> str:
        return f"{self.cluster}/{self.node}"

    def probe(self) -> Ask:
        data = sh(self.instance.data_directory)
        return Ask(
            f"if [ -s {CLAIM} ]; then cat {CLAIM}; exit; fi\n"
            f"[ -s {MARKER} ] && cat {MARKER} && exit 3\n"
            f'[ -d {data} ] && [ -n "$(ls -A {data})" ] && exit 5; exit 4'
        )

    def read(self, answer: Answer) -> State | None:
        if answer.code == 4:
            return None
        if answer.code == 5:
            raise Refused(
                f"{self.instance.data_directory} holds a PostgreSQL cluster that is not ours",
                where=self.on,
                done="nothing was written",
                next=f"look at it: pg_lsclusters; if this is the wrong host, correct the address "
                f"of {self.node} in nodes/{self.node}.yml",
            )
        cluster, node = _owner(answer.text)
        if (cluster, node) != (self.cluster, self.node):
            raise Refused(
                f"this machine is {node} of cluster {cluster}, not {self.node} of {self.cluster}",
                where=self.on,
                done="nothing was written",
                next=f"check the address of {self.node} in nodes/{self.node}.yml",
            )
        return {"cluster": cluster, "node": node}

    def desired(self) -> State:
        return {"cluster": self.cluster, "node": self.node}

    def change(self, diff: Diff) -> Iterable[Do]:
        content = json.dumps({"cluster": self.cluster, "node": self.node}) + "\n"
        write = File(on=self.on, path=CLAIM, content=content).write_text()
        yield Do(
            f"claim this machine for {self.name}", f"mkdir -p {FOLDER}\n{write}", content.encode()
        )


@dataclass(frozen=True, kw_only=True)
class Marker(Resource):
    """Cluster, node and system identifier, written when everything before it is true.

    `remade`: the data are about to be made anew, so other ones on the disk are no reason to stop.
    """

    kind: ClassVar[str] = "marker"
    cluster: str
    node: str
    instance: Instance
    remade: bool = False
    identifier: str = ""

    @property
    def name(self) -> str:
        return f"{self.cluster}/{self.node}"

    def probe(self) -> Ask:
        making = sh(note(self.instance))
        return Ask(f"[ -s {MARKER} ] && [ ! -e {making} ] && cat {MARKER} || exit 4")

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, system_identifier(self.instance)),)

    def settled(self, facts: Facts) -> Self:
        answer = facts.get(self.on, system_identifier(self.instance))
        return replace(self, identifier=answer.text.strip() if answer else "")

    def read(self, answer: Answer) -> State | None:
        if answer.code:
            return None
        try:
            found = json.loads(answer.text)
            state = {key: str(found[key]) for key in ("cluster", "node", "system_identifier")}
        except (ValueError, KeyError, TypeError):
            return None
        known = state["system_identifier"]
        if known != self.identifier and not self.remade:
            found_now = f"has system identifier {self.identifier}" if self.identifier else "is gone"
            raise Refused(
                f"the marker says system identifier {known}, and the cluster on disk {found_now}:"
                f" not the database that was provisioned here, or its disk is not mounted",
                where=self.on,
                done="nothing was written",
                next=f"find out what replaced it before anything else; the marker is {MARKER}",
            )
        return state

    def desired(self) -> State:
        wish = {"cluster": self.cluster, "node": self.node}
        return {**wish, "system_identifier": self.identifier or "(of the cluster to be made)"}

    def change(self, diff: Diff) -> Iterable[Do]:
        why = f"mark this machine as {self.name}"
        if not self.identifier:
            yield planned(why, "there is no cluster to mark yet")
            return
        content = json.dumps(dict(self.desired()), sort_keys=True) + "\n"
        yield Do(why, File(on=self.on, path=MARKER, content=content).write_text(), content.encode())
