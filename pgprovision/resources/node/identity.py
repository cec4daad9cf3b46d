"""Whose machine this is, judged before anything is written to it.

Existence is never judged by a port, a unit or PG_VERSION. A claim says that a run may build here;
the marker, written last, takes its place and ties cluster, node and PostgreSQL's system identifier
together. A machine with data and neither of them is nobody's: it is never taken for a fresh one.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.errors import Refused
from pgprovision.quote import sh
from pgprovision.resources.postgres.control_file import system_identifier
from pgprovision.resources.postgres.server.instance import Instance, note

FOLDER = "/etc/pgprovision"
CLAIM = f"{FOLDER}/claim.json"
MARKER = f"{FOLDER}/marker.json"
FORMAT = 1  # of claim and marker; one that names none is of this one


@dataclass(frozen=True)
class Found:
    """What is on a machine. `claim`, `marker`: their text. `data`: the data directory holds
    something; `config`: so does the configuration's; `versions`: majors with a data directory of
    this name; `making`: data are being made, so what is there is nobody's yet."""

    claim: str | None = None
    marker: str | None = None
    making: bool = False
    data: bool = False
    config: bool = False
    versions: tuple[str, ...] = ()


def look(instance: Instance) -> Ask:
    """For `parse`. One word a line, and what belongs to it."""
    data, config = sh(instance.data_directory), sh(f"{instance.config_directory}/postgresql.conf")
    every = f"/var/lib/postgresql/*/{sh(instance.name)}/PG_VERSION"
    return Ask(
        f"for w in claim marker; do f={FOLDER}/$w.json\n"
        f"[ ! -e $f ] || printf '%s %s\\n' $w \"$(tr -d '\\n' <$f)\"; done\n"
        f"[ ! -e {sh(note(instance))} ] || echo making\n"
        f'[ ! -d {data} ] || [ -z "$(ls -A {data})" ] || echo data\n'
        f"[ ! -e {config} ] || echo config\n"
        f'for f in {every}; do [ ! -e "$f" ] || echo "version $(cat "$f")"; done'
    )


def parse(answer: Answer) -> Found:
    """What `look` found."""
    words = [line.partition(" ") for line in answer.text.splitlines()]
    said = {word: rest for word, _, rest in words}
    return Found(
        claim=said.get("claim"),
        marker=said.get("marker"),
        making="making" in said,
        data="data" in said,
        config="config" in said,
        versions=tuple(rest for word, _, rest in words if word == "version"),
    )


def fields(text: str | None, *keys: str) -> tuple[str, ...] | None:
    """Those of a claim or marker; None where it is damaged or not there."""
    try:
        found = json.loads(text or "")
        return tuple(str(found[key]) for key in keys)
    except (ValueError, KeyError, TypeError):
        return None


def check_format(path: str, text: str | None) -> None:
    """Raises Refused where a newer release wrote it: what it means there is not known here."""
    (format_,) = fields(text, "format") or (str(FORMAT),)
    if format_ != str(FORMAT):
        raise _refused(
            f"{path} was written by a newer release of pgprovision (format {format_}; this release"
            f" reads {FORMAT})",
            "use that release, or a later one, on this controller",
        )


def judge(found: Found, identity: "Identity") -> None:
    """Raises Refused unless the machine is this node's, or nobody's and empty."""
    if found.marker is None and found.claim is None:
        _check_empty(found, identity)
        return
    path, text = (CLAIM, found.claim) if found.marker is None else (MARKER, found.marker)
    check_format(path, text)
    owner = fields(text, "cluster", "node")
    if owner is None:
        raise _refused(
            f"{path} is damaged: nothing tells whose machine this is",
            f"pgprovision adopt {identity.node}",
        )
    cluster, node = owner
    if owner != (identity.cluster, identity.node):
        raise _refused(
            f"this machine is {node} of cluster {cluster}, not {identity.node} of"
            f" {identity.cluster}",
            f"check the address of {identity.node} in nodes/{identity.node}.yml",
        )
    if not (found.making or found.data or identity.remade):
        _check_version(found, identity)
    if found.marker is not None and not (found.making or identity.remade):
        _check_data(found, identity)


def _check_empty(found: Found, identity: "Identity") -> None:
    if not (found.data or found.config or found.versions or found.making):
        return
    here = identity.instance.data_directory
    if not found.data:
        _check_version(found, identity)
    what = f"{here} holds a PostgreSQL cluster"
    if not found.data:
        what = f"there are traces of a PostgreSQL cluster, and no data in {here}"
    raise _refused(
        f"{what}; nothing says that it is {identity.node} of {identity.cluster} ({MARKER} is not"
        " there): it is never taken for a fresh host",
        f"where it is {identity.node}'s: pgprovision adopt {identity.node} (shows what is there"
        f" first); where it is the wrong host, correct the address in nodes/{identity.node}.yml",
    )


def _check_version(found: Found, identity: "Identity") -> None:
    wanted = str(identity.instance.version)
    if found.versions and wanted not in found.versions:
        raise _refused(
            f"the data on this machine are of PostgreSQL {', '.join(found.versions)}, and the"
            f" inventory says {wanted}: `up` never upgrades a major version",
            f"put postgres.version back to {found.versions[-1]}; a major upgrade will be a verb of"
            " its own and is not there yet (until then by hand: pg_upgradecluster)",
        )


def _check_data(found: Found, identity: "Identity") -> None:
    (known,) = fields(found.marker, "system_identifier") or ("?",)
    if known == identity.identifier:
        return
    now = f"has system identifier {identity.identifier}"
    if not identity.identifier:
        now = "cannot be read" if found.data else "is gone"
    raise _refused(
        f"the marker says system identifier {known}, and the cluster on disk {now}:"
        " not the database that was provisioned here, or its disk is not mounted",
        f"find out what became of it before anything else (findmnt; ls"
        f" {identity.instance.data_directory}*); the marker is {MARKER}",
    )


def _refused(what: str, next: str) -> Refused:
    return Refused(what, done="nothing was written", next=next)


@dataclass(frozen=True, kw_only=True)
class Identity(Resource):
    """This machine is NODE of CLUSTER and holds the database its marker names, or it is fresh.

    `remade`: the data are about to be made anew, so other ones on the disk are no reason to stop.
    """

    kind: ClassVar[str] = "identity"
    cluster: str
    node: str
    instance: Instance
    remade: bool = False
    identifier: str = ""

    @property
    def name(self) -> str:
        return f"{self.cluster}/{self.node}"

    def probe(self) -> Ask:
        return look(self.instance)

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, system_identifier(self.instance)),)

    def settled(self, facts: Facts) -> Self:
        answer = facts.get(self.on, system_identifier(self.instance))
        return replace(self, identifier=answer.text.strip() if answer else "")

    def read(self, answer: Answer) -> State:
        judge(parse(answer), self)
        return self.desired()

    def desired(self) -> State:
        return {"whose": self.name}

    def change(self, diff: Diff) -> Iterable[Do]:
        return ()
