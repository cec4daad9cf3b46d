"""A Hetzner server, from its creation to running behind a firewall and with protection.

It is created stopped, attached to the network with its fixed address, then started: Hetzner cannot
create a server with a chosen private address, and a server that is started first may boot without
its private interface. Each step is a key of the state, so the next run completes what an
interrupted one began.

`image` only counts at creation: a server is upgraded in place, and images are withdrawn. A
different type or location is reported and not changed, because that would stop or replace the
server. Only with `allow_resize`, which the verb `resize` sets, is the type changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Action,
    Answer,
    Diff,
    Facts,
    Impact,
    Need,
    Probe,
    Ref,
    State,
    Waiting,
    WithDescription,
    WithNeeds,
    WithNotes,
)
from pgprovision.errors import Refused
from pgprovision.hetzner_labels import find_object
from pgprovision.resources.hetzner.hetzner_resource import (
    ApiObject,
    HetznerResource,
    cluster_labels,
)
from pgprovision.resources.hetzner.host_key import HostKey, HostKeyPair, user_data

CREATE_SECONDS = 900.0  # from big images over ten minutes have been seen
ATTACH_SECONDS = 300.0
SHUTDOWN_SECONDS = 600.0  # PostgreSQL's own stop takes its time
_TRANSIENT_STATUSES = frozenset({"initializing", "starting", "stopping", "migrating", "rebuilding"})
_UNCHANGED_HINTS = {
    "server_type": "pgprovision resize carries it out",
    "location": "a server is never moved",
}


@dataclass(frozen=True, kw_only=True)
class Server(HetznerResource, WithNeeds, WithNotes, WithDescription):
    """The server of a node; `object_name` is the node's name."""

    kind: ClassVar[str] = "server"
    collection: ClassVar[str] = "servers"
    server_type: str
    image: str
    location: str
    network: str
    private_ip: str
    """Empty: it is in no private network."""
    placement_group: str
    """Empty: it is in no placement group."""
    firewall: str
    ssh_keys: tuple[str, ...]
    """Fingerprints."""
    protection: bool = True
    allow_resize: bool = False
    """Its type is changed where it differs."""
    extra_labels: tuple[tuple[str, str], ...] = ()
    """Labels in addition to ours."""
    host_key: HostKey | None = None
    host_key_pair: HostKeyPair | None = None
    network_id: int | None = None
    firewall_id: int | None = None

    def needs(self) -> tuple[Need, ...]:
        cloud = (Need(self.on, Probe("networks")), Need(self.on, Probe("firewalls")))
        key = self.host_key
        return cloud if key is None else (*cloud, Need(key.on, key.probe()))

    def resolved(self, facts: Facts) -> Self:
        def ident(kind: str, name: str) -> int | None:
            answer = facts.get(self.on, Probe(kind))
            item = find_object(answer.items, name) if answer else None
            return int(item["id"]) if item else None

        key = self.host_key
        pair_answer = facts.get(key.on, key.probe()) if key else None
        return replace(
            self,
            network_id=ident("networks", self.network),
            firewall_id=ident("firewalls", self.firewall),
            host_key_pair=key.parse_pair(pair_answer) if key and pair_answer else None,
        )

    def read(self, answer: Answer) -> State | Waiting | None:
        item = self.find(answer)
        if item is None:
            return None
        status = item["status"]
        if status in _TRANSIENT_STATUSES:
            return Waiting(f"{self} is {status}", CREATE_SECONDS)
        if status == "deleting":
            return Waiting(f"{self} is being deleted", ATTACH_SECONDS)
        group = item.get("placement_group")
        firewall_ids = [firewall["id"] for firewall in item["public_net"].get("firewalls") or ()]
        return {
            "server_type": item["server_type"]["name"],
            "location": item["location"]["name"],
            "node": (item.get("labels") or {}).get("node"),
            "labels": tuple(f"{k}={v}" for k, v in sorted((item.get("labels") or {}).items())),
            "private_ip": self._private_ip(item),
            "placement_group": group["name"] if group else None,
            "firewall": self.firewall if self.firewall_id in firewall_ids else None,
            "power": "on" if status == "running" else "off",
            "protection": item["protection"]["delete"] and item["protection"]["rebuild"],
        }

    def _private_ip(self, item: ApiObject) -> str | None:
        addresses = (net["ip"] for net in item["private_net"] if net["network"] == self.network_id)
        ip = next(addresses, None)
        if ip is not None and self.private_ip and ip != self.private_ip:
            raise Refused(
                f"its address in network {self.network} is {ip}, the inventory says "
                f"{self.private_ip}; other nodes and pg_hba.conf know it by its address",
                next=f"put private_ip: {ip} into the node's entry; to move it, stop PostgreSQL, "
                f"then: hcloud server detach-from-network --network {self.network} "
                f"{self.object_name}",
            )
        return ip

    def desired(self) -> State:
        return {
            "server_type": self.server_type,
            "location": self.location,
            "node": self.object_name,
            "private_ip": self.private_ip or None,
            "placement_group": self.placement_group or None,
            "firewall": self.firewall,
            "power": "on",
            "protection": self.protection,
        }

    def notes(self, state: State) -> tuple[str, ...]:
        if self.allow_resize or state["server_type"] == self.server_type:
            return ()
        return (
            f"{self} is a {state['server_type']}, the inventory says {self.server_type}: "
            f"pgprovision resize {self.object_name} carries it out, with a restart",
        )

    def describe_changes(self, diff: Diff) -> tuple[str, ...]:
        if diff.before is None or self.allow_resize:
            return diff.keys
        return tuple(
            f"{key} ({_UNCHANGED_HINTS[key]})" if key in _UNCHANGED_HINTS else key
            for key in diff.keys
        )

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.before is None:
            yield self._create()
        else:
            yield from self._repair(diff, diff.before)
        if diff.changed("private_ip") and self.private_ip:
            body = {"network": Ref("networks", self.network), "ip": self.private_ip}
            yield self._server_action(
                f"attach {self} as {self.private_ip}", "attach_to_network", body
            )
        if diff.changed("power"):
            yield self._server_action(f"start {self}", "poweron")
        if diff.changed("protection") and (diff.before or self.protection):
            word = "protect" if self.protection else "unprotect"
            both = {"delete": self.protection, "rebuild": self.protection}
            yield self._server_action(f"{word} {self}", "change_protection", both)

    def _create(self) -> Action:
        body: dict[str, object] = {
            "labels": {**cluster_labels(self.cluster, self.object_name), **dict(self.extra_labels)},
            "server_type": self.server_type,
            "image": self.image,
            "location": self.location,
            "ssh_keys": [Ref("ssh_keys", key) for key in self.ssh_keys],
            "firewalls": [{"firewall": Ref("firewalls", self.firewall)}],
            "start_after_create": False,
        }
        if self.placement_group:
            body["placement_group"] = Ref("placement_groups", self.placement_group)
        if self.host_key:  # where the pair is not made yet, this is only planned
            body["user_data"] = user_data(self.host_key_pair or self.host_key.empty_pair)
        return self.create(body, CREATE_SECONDS)

    def _repair(self, diff: Diff, before: State) -> Iterable[Action]:
        if diff.changed("node"):
            current_labels = before["labels"]
            assert isinstance(current_labels, tuple)
            new_labels = dict(str(label).split("=", 1) for label in current_labels)
            new_labels |= cluster_labels(self.cluster, self.object_name)
            yield Action(f"label {self}", f"PUT {self.path}", body={"labels": new_labels})
        if diff.changed("firewall"):
            yield Action(
                f"put {self} under firewall {self.firewall}",
                f"POST /firewalls/{{firewalls:{self.firewall}}}/actions/apply_to_resources",
                body={"apply_to": [{"type": "server", "server": {"id": self._ref}}]},
            )
        if diff.changed("placement_group") and before["placement_group"]:
            yield self._server_action(
                f"take {self} out of its group", "remove_from_placement_group"
            )
        yield from self._while_off(before, tuple(self._when_off(diff)))

    def _when_off(self, diff: Diff) -> Iterable[Action]:
        """Calls that Hetzner only accepts for a server that is off."""
        if diff.changed("placement_group") and self.placement_group:
            group = {"placement_group": Ref("placement_groups", self.placement_group)}
            yield self._server_action(f"put {self} into its group", "add_to_placement_group", group)
        if self.allow_resize and diff.changed("server_type"):
            size = {"server_type": self.server_type, "upgrade_disk": False}
            yield self._server_action(f"make {self} a {self.server_type}", "change_type", size)

    def _while_off(self, before: State, steps: tuple[Action, ...]) -> Iterable[Action]:
        """Shut down cleanly, never cut off: the first call is retried until the server is off."""
        if not steps or before["power"] == "off":
            yield from steps
            return
        yield self._server_action(f"shut down {self}", "shutdown", impact=Impact.RESTART)
        for step in steps:
            yield replace(step, impact=Impact.RESTART, timeout=SHUTDOWN_SECONDS)
        yield self._server_action(f"start {self}", "poweron", impact=Impact.RESTART)

    @property
    def _ref(self) -> Ref:
        return Ref(self.collection, self.object_name)

    def _server_action(
        self,
        why: str,
        verb: str,
        body: Mapping[str, object] | None = None,
        impact: Impact = Impact.NONE,
    ) -> Action:
        limit = SHUTDOWN_SECONDS if impact else ATTACH_SECONDS
        return replace(self.action(why, verb, body), impact=impact, timeout=limit)
