"""The identity of a host: cluster, node and system identifier, compared before anything is written
to it.

A port, a unit or PG_VERSION proves nothing. A claim file says that a run may create this node
here. The marker is written last and takes its place; it has cluster, node and PostgreSQL's system
identifier. A host with data and neither file is foreign: it never counts as empty.
"""

import json
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Answer,
    Check,
    Facts,
    Need,
    Probe,
    State,
    WithNeeds,
)
from pgprovision.errors import Refused
from pgprovision.quote import sh
from pgprovision.resources.postgres.control_file import system_identifier_probe
from pgprovision.resources.postgres.server.instance import Instance, in_progress_file

PGPROVISION_DIRECTORY = "/etc/pgprovision"
CLAIM_FILE = f"{PGPROVISION_DIRECTORY}/claim.json"
MARKER_FILE = f"{PGPROVISION_DIRECTORY}/marker.json"
FILE_FORMAT = 1  # of claim file and marker; also where the file names no format


@dataclass(frozen=True)
class IdentityFacts:
    """What is on a host."""

    claim: str | None = None
    """The text of the claim file."""
    marker: str | None = None
    """The text of the marker."""
    in_progress: bool = False
    """A data directory is being created, so what is there is nobody's yet."""
    has_data: bool = False
    """The data directory is not empty."""
    has_config: bool = False
    """The configuration directory is not empty."""
    versions: tuple[str, ...] = ()
    """Major versions that have a data directory of this name."""


def identity_probe(instance: Instance) -> Probe:
    """The probe for `parse`. Prints one fact per line: a word, and its value."""
    data, config = sh(instance.data_directory), sh(f"{instance.config_directory}/postgresql.conf")
    every = f"/var/lib/postgresql/*/{sh(instance.name)}/PG_VERSION"
    return Probe(
        f"for w in claim marker; do f={PGPROVISION_DIRECTORY}/$w.json\n"
        f"[ ! -e $f ] || printf '%s %s\\n' $w \"$(tr -d '\\n' <$f)\"; done\n"
        f"[ ! -e {sh(in_progress_file(instance))} ] || echo making\n"
        f'[ ! -d {data} ] || [ -z "$(ls -A {data})" ] || echo data\n'
        f"[ ! -e {config} ] || echo config\n"
        f'for f in {every}; do [ ! -e "$f" ] || echo "version $(cat "$f")"; done'
    )


def parse(answer: Answer) -> IdentityFacts:
    """The answer to `identity_probe`."""
    lines = [line.partition(" ") for line in answer.text.splitlines()]
    values = {word: rest for word, _, rest in lines}
    return IdentityFacts(
        claim=values.get("claim"),
        marker=values.get("marker"),
        in_progress="making" in values,
        has_data="data" in values,
        has_config="config" in values,
        versions=tuple(rest for word, _, rest in lines if word == "version"),
    )


def json_fields(text: str | None, *keys: str) -> tuple[str, ...] | None:
    """These fields of a claim file or marker; None where it is damaged or missing."""
    try:
        found = json.loads(text or "")
        return tuple(str(found[key]) for key in keys)
    except (ValueError, KeyError, TypeError):
        return None


def check_format(path: str, text: str | None) -> None:
    """Raises Refused where a newer release wrote the file: its meaning is not known here."""
    (format_,) = json_fields(text, "format") or (str(FILE_FORMAT),)
    if format_ != str(FILE_FORMAT):
        raise _refused(
            f"{path} was written by a newer release of pgprovision (format {format_}; this release"
            f" reads {FILE_FORMAT})",
            "use that release, or a later one, on this controller",
        )


def check_identity(found: IdentityFacts, identity: "NodeIdentity") -> None:
    """Raises Refused unless the host is this node's, or empty."""
    if found.marker is None and found.claim is None:
        _check_empty(found, identity)
        return
    path, text = (CLAIM_FILE, found.claim) if found.marker is None else (MARKER_FILE, found.marker)
    check_format(path, text)
    identity_of_file = json_fields(text, "cluster", "node")
    if identity_of_file is None:
        raise _refused(
            f"{path} is damaged: it does not say which node this host is",
            f"pgprovision adopt {identity.node}",
        )
    cluster, node = identity_of_file
    if identity_of_file != (identity.cluster, identity.node):
        raise _refused(
            f"this machine is {node} of cluster {cluster}, not {identity.node} of"
            f" {identity.cluster}",
            f"check the address of {identity.node} in nodes/{identity.node}.yml",
        )
    if not (found.in_progress or found.has_data or identity.recreating):
        _check_version(found, identity)
    if found.marker is not None and not (found.in_progress or identity.recreating):
        _check_data(found, identity)


def _check_empty(found: IdentityFacts, identity: "NodeIdentity") -> None:
    if not (found.has_data or found.has_config or found.versions or found.in_progress):
        return
    data_directory = identity.instance.data_directory
    if not found.has_data:
        _check_version(found, identity)
    message = f"{data_directory} holds a PostgreSQL cluster"
    if not found.has_data:
        message = f"there are traces of a PostgreSQL cluster, and no data in {data_directory}"
    raise _refused(
        f"{message}; nothing says that it is {identity.node} of {identity.cluster}"
        f" ({MARKER_FILE} is missing), so this host does not count as empty",
        f"if it is {identity.node}'s: pgprovision adopt {identity.node} (shows what is there"
        f" first); if it is the wrong host, correct the address in nodes/{identity.node}.yml",
    )


def _check_version(found: IdentityFacts, identity: "NodeIdentity") -> None:
    expected = str(identity.instance.version)
    if found.versions and expected not in found.versions:
        raise _refused(
            f"the data on this machine are of PostgreSQL {', '.join(found.versions)}, and the"
            f" inventory says {expected}: `up` never upgrades a major version",
            f"put postgres.version back to {found.versions[-1]}; major upgrades are"
            " not supported yet (by hand: pg_upgradecluster)",
        )


def _check_data(found: IdentityFacts, identity: "NodeIdentity") -> None:
    (recorded,) = json_fields(found.marker, "system_identifier") or ("?",)
    if recorded == identity.identifier:
        return
    now = f"has system identifier {identity.identifier}"
    if not identity.identifier:
        now = "cannot be read" if found.has_data else "is missing"
    raise _refused(
        f"the marker says system identifier {recorded}, and the cluster on disk {now}:"
        " not the database that was provisioned here, or its disk is not mounted",
        f"look for the data first (findmnt; ls"
        f" {identity.instance.data_directory}*); the marker is {MARKER_FILE}",
    )


def _refused(message: str, next: str) -> Refused:
    return Refused(message, next=next)


@dataclass(frozen=True, kw_only=True)
class NodeIdentity(Check, WithNeeds):
    """This host is NODE of CLUSTER and has the database that its marker names, or it is empty."""

    kind: ClassVar[str] = "identity"
    cluster: str
    node: str
    instance: Instance
    recreating: bool = False
    """The data are about to be replaced, so other data on the disk are no reason to refuse."""
    identifier: str = ""
    """A fact: the system identifier of the data on the disk."""

    @property
    def name(self) -> str:
        return f"{self.cluster}/{self.node}"

    def probe(self) -> Probe:
        return identity_probe(self.instance)

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, system_identifier_probe(self.instance)),)

    def resolved(self, facts: Facts) -> Self:
        answer = facts.get(self.on, system_identifier_probe(self.instance))
        return replace(self, identifier=answer.text.strip() if answer else "")

    def read(self, answer: Answer) -> State:
        check_identity(parse(answer), self)
        return self.desired()

    def desired(self) -> State:
        return {"node": self.name}
