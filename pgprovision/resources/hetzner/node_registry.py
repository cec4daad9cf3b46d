"""Which nodes were ever finished, stored where the loss of a controller does not lose it.

A primary with a deleted server must not be created again as an empty one: its data are in the
backups and on its replicas. So a label of the cluster's placement group has the system identifier
of each finished node. The pins in known_hosts are a second record, which is there even where the
API token is of another project.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Action, Answer, Diff, Facts, Need, Probe, State, WithNeeds
from pgprovision.errors import Refused
from pgprovision.hetzner_labels import ApiObject, has_cluster_labels
from pgprovision.resources.hetzner.hetzner_resource import HetznerResource
from pgprovision.resources.hetzner.host_key import SERVERS_PROBE, HostKey
from pgprovision.resources.node.identity import MARKER_FILE

LABEL_PREFIX = "node.pgprovision/"  # of a label; node and system identifier follow
_MARKER = Probe(f"[ -s {MARKER_FILE} ] && cat {MARKER_FILE} || exit 4")


@dataclass(frozen=True, kw_only=True)
class NodeRegistry(HetznerResource, WithNeeds):
    """The finished nodes among these, recorded in labels of the placement group. Refused where a
    server that is to be created would replace data, or belong to a cluster in another project."""

    kind: ClassVar[str] = "node registry"
    collection: ClassVar[str] = "placement_groups"
    host_keys: tuple[HostKey, ...]
    primary: str
    rebuilding: bool = False
    """The data come from the backups, so a new server replaces none."""
    existing: frozenset[str] = frozenset()
    pinned: frozenset[str] = frozenset()
    finished: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return self.cluster

    @property
    def _nodes(self) -> tuple[str, ...]:
        return tuple(key.node for key in self.host_keys)

    def needs(self) -> tuple[Need, ...]:
        markers = (Need(node, _MARKER) for node in self._nodes)
        pins = (Need(key.on, key.probe()) for key in self.host_keys)
        return (Need(self.on, SERVERS_PROBE), *markers, *pins)

    def resolved(self, facts: Facts) -> Self:
        servers = facts.get(self.on, SERVERS_PROBE)
        ours = (
            s["name"]
            for s in (servers.items if servers else ())
            if has_cluster_labels(s, self.cluster)
        )
        rotated = (
            key.node
            for key in self.host_keys
            if (pair_answer := facts.get(key.on, key.probe()))
            and key.parse_pair(pair_answer).rotated
        )
        identified = ((node, _identifier(facts.get(node, _MARKER))) for node in self._nodes)
        return replace(
            self,
            existing=frozenset(ours),
            pinned=frozenset(rotated),
            finished=tuple((node, found) for node, found in identified if found),
        )

    def read(self, answer: Answer) -> State:
        group = self.find(answer)
        current_labels = dict(group["labels"]) if group else {}
        node_labels = {
            k.removeprefix(LABEL_PREFIX): v
            for k, v in current_labels.items()
            if k.startswith(LABEL_PREFIX)
        }
        if not self.rebuilding:
            self._check(group, node_labels)
        state = {node: node_labels.get(node) for node in self._nodes}
        return {**state, "labels": tuple(f"{k}={v}" for k, v in sorted(current_labels.items()))}

    def _check(self, group: ApiObject | None, node_labels: dict[str, str]) -> None:
        known = self.pinned | node_labels.keys()
        if group is None and self.pinned and not self.existing:
            names = ", ".join(sorted(known))
            raise Refused(
                f"0 of {len(known)} known servers exist in this project ({names}): the API token "
                "is of another project, or they were all deleted",
                next="check which project hetzner.token is of; if its servers were deleted on "
                "purpose: pgprovision destroy",
            )
        if self.primary in known and self.primary not in self.existing:
            database_text = (
                f" with database {node_labels[self.primary]}" if self.primary in node_labels else ""
            )
            raise Refused(
                f"the server of the primary {self.primary} does not exist, and "
                f"its node was finished{database_text}: no empty one is created in its place",
                next="promote a replica; if all servers were deleted: pgprovision"
                " rebuild; to start again without the data: pgprovision destroy, then up",
            )

    def desired(self) -> State:
        return dict(self.finished)

    def change(self, diff: Diff) -> Iterable[Action]:
        current_labels = (diff.before or {})["labels"]
        assert isinstance(current_labels, tuple)
        new_labels = dict(str(label).split("=", 1) for label in current_labels)
        new_labels |= {f"{LABEL_PREFIX}{node}": found for node, found in self.finished}
        names = ", ".join(diff.keys)
        yield Action(
            f"record that {names} is finished", f"PUT {self.path}", body={"labels": new_labels}
        )


def _identifier(marker: Answer | None) -> str:
    """The system identifier in a marker; empty where there is none."""
    try:
        return str(json.loads(marker.text)["system_identifier"]) if marker else ""
    except (ValueError, KeyError, TypeError):
        return ""
