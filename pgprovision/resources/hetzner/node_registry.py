"""Which nodes have ever been finished, kept where a lost controller does not lose it.

A primary whose server was deleted must not be made anew and empty: its data are in the backups and
on its replicas. So a finished node is remembered by a label of the cluster's placement group (the
system identifier of its database); the pins in known_hosts remember it, too, and they are there
even where the API token is of another project.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, State
from pgprovision.errors import Refused
from pgprovision.hetzner_labels import Item, is_ours
from pgprovision.resources.hetzner.hetzner_resource import CloudObject
from pgprovision.resources.hetzner.host_key import SERVERS, HostKey
from pgprovision.resources.node.identity import MARKER

PREFIX = "node.pgprovision/"  # of a label; node and system identifier follow
_MARKER = Ask(f"[ -s {MARKER} ] && cat {MARKER} || exit 4")


@dataclass(frozen=True, kw_only=True)
class KnownNodes(CloudObject):
    """The finished ones of these nodes, remembered on the placement group `called`. Refused where a
    server that is to be made would take the place of data, or of a cluster in another project;
    `rebuilt`: the data come from the backups, so it does not."""

    kind: ClassVar[str] = "known nodes"
    collection: ClassVar[str] = "placement_groups"
    host_keys: tuple[HostKey, ...]
    primary: str
    rebuilt: bool = False
    there: frozenset[str] = frozenset()
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
        return (Need(self.on, SERVERS), *markers, *pins)

    def settled(self, facts: Facts) -> Self:
        servers = facts.get(self.on, SERVERS)
        ours = (s["name"] for s in (servers.items if servers else ()) if is_ours(s, self.cluster))
        outlived = (
            key.node
            for key in self.host_keys
            if (held := facts.get(key.on, key.probe())) and key.pair(held).outlived
        )
        identified = ((node, _identifier(facts.get(node, _MARKER))) for node in self._nodes)
        return replace(
            self,
            there=frozenset(ours),
            pinned=frozenset(outlived),
            finished=tuple((node, found) for node, found in identified if found),
        )

    def read(self, answer: Answer) -> State:
        group = self.find(answer)
        worn = dict(group["labels"]) if group else {}
        marks = {k.removeprefix(PREFIX): v for k, v in worn.items() if k.startswith(PREFIX)}
        if not self.rebuilt:
            self._check(group, marks)
        state = {node: marks.get(node) for node in self._nodes}
        return {**state, "labels": tuple(f"{k}={v}" for k, v in sorted(worn.items()))}

    def _check(self, group: Item | None, marks: dict[str, str]) -> None:
        known = self.pinned | marks.keys()
        if group is None and self.pinned and not self.there:
            names = ", ".join(sorted(known))
            raise Refused(
                f"0 of {len(known)} known servers exist in this project ({names}): the API token "
                "is of another project, or they were all deleted",
                done="nothing was touched",
                next="check which project hetzner.token is of; if the cluster is gone for good, "
                "pgprovision destroy forgets it",
            )
        if self.primary in known and self.primary not in self.there:
            held = f" with database {marks[self.primary]}" if self.primary in marks else ""
            raise Refused(
                f"the server of the primary {self.primary} is gone, and it was finished{held}: an "
                "empty one is never made in its place",
                done="nothing was touched",
                next="promote a replica; where all servers are gone, from the backups: pgprovision"
                " rebuild; to begin anew without the data: pgprovision destroy, then up",
            )

    def desired(self) -> State:
        return dict(self.finished)

    def change(self, diff: Diff) -> Iterable[Do]:
        worn = (diff.before or {})["labels"]
        assert isinstance(worn, tuple)
        whole = dict(str(label).split("=", 1) for label in worn)
        whole |= {f"{PREFIX}{node}": found for node, found in self.finished}
        names = ", ".join(diff.keys)
        yield Do(f"remember that {names} is finished", f"PUT {self.path}", body={"labels": whole})


def _identifier(marker: Answer | None) -> str:
    """The system identifier a marker holds; empty where there is none."""
    try:
        return str(json.loads(marker.text)["system_identifier"]) if marker else ""
    except (ValueError, KeyError, TypeError):
        return ""
