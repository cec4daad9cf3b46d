"""A small cluster's cloud, declared on a simulator, and a watcher that remembers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pgprovision.clients.hetzner.project import HetznerProject
from pgprovision.engine.loop import Approve, converge
from pgprovision.engine.model import Action, Change, Impact, Report, Resource, Tier, Waiting
from pgprovision.engine.observe import Target
from pgprovision.inventory.schema import cluster
from pgprovision.resources.hetzner.firewall import Firewall, ssh_rule
from pgprovision.resources.hetzner.host_key import HostKey
from pgprovision.resources.hetzner.network import HetznerNetwork
from pgprovision.resources.hetzner.placement_group import PlacementGroup
from pgprovision.resources.hetzner.server import Server
from pgprovision.resources.hetzner.ssh_key import SshKey, fingerprint
from pgprovision.secret import Secret
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.support.hetzner_simulator import SSH_KEY, TOKEN, HetznerSimulator

CLUSTER = "lab"


@dataclass
class ActionRecorder:
    """An engine's watcher. `before_done` is called before each action is reported done."""

    before_done: Callable[[Action], None] = lambda action: None
    actions: list[str] = field(default_factory=list)

    def tier_started(self, tier: Tier) -> None: ...

    def acting(self, changes: Sequence[Change]) -> None: ...

    def action_done(self, change: Change, action: Action) -> None:
        self.before_done(action)
        self.actions.append(action.why)

    def target_failed(self, target: str, error: Exception) -> None: ...

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None: ...


def make_host_key(folder: Path, node: str) -> HostKey:
    return HostKey(
        cluster=CLUSTER,
        node=node,
        folder=str(folder / "host_keys"),
        known_hosts=str(folder / "known_hosts"),
    )


def make_server(node: str, ip: str, **changes: Any) -> Server:
    base = Server(
        cluster=CLUSTER,
        object_name=node,
        server_type="ccx13",
        image="debian-12",
        location="ash",
        network="net",
        private_ip=ip,
        placement_group="group",
        firewall="ssh-only",
        ssh_keys=(fingerprint(SSH_KEY),),
    )
    return replace(base, **changes)


def hetzner_tiers(folder: Path, nodes: int = 1) -> tuple[Tier, ...]:
    """Host keys, then everything at Hetzner, for db-1 to db-N."""
    names = [f"db-{n}" for n in range(1, nodes + 1)]
    keys = [make_host_key(folder, name) for name in names]
    surroundings = (
        HetznerNetwork(
            cluster=CLUSTER,
            object_name="net",
            ip_range="10.0.0.0/16",
            subnet="10.0.1.0/24",
            zone="us-east",
        ),
        PlacementGroup(cluster=CLUSTER, object_name="group", size=nodes),
        Firewall(cluster=CLUSTER, object_name="ssh-only", rules=(ssh_rule(["192.0.2.0/24"]),)),
        SshKey(cluster=CLUSTER, object_name="me", public_key=SSH_KEY),
    )
    servers = (
        make_server(name, f"10.0.1.{10 + n}", host_key=keys[n - 1])
        for n, name in enumerate(names, start=1)
    )
    return Tier("host keys", tuple(keys)), Tier("cloud", (*surroundings, *servers))


def cloud_inventory(
    folder: Path, sim: HetznerSimulator, nodes: int = 2, **cloud: object
) -> cluster.Inventory:
    """The cloud's part of one, as `load` would give it."""
    settings = {
        "token": Secret(TOKEN, "test"),
        "endpoint": sim.endpoint,
        "network": {"name": "net"},
        "placement_group": "group",
        "firewall": {"name": "ssh-only"},
        "ssh_keys": [{"name": "me", "public_key": SSH_KEY}],
        **cloud,
    }
    node_documents = [
        {
            "name": f"db-{n}",
            "role": "primary" if n == 1 else "replica",
            "private_ip": f"10.0.1.{10 + n}",
            "server_type": "ccx13",
            "location": "ash",
            "image": "debian-12",
        }
        for n in range(1, nodes + 1)
    ]
    return cluster.Inventory.model_construct(
        cluster="lab",
        folder=folder,
        hetzner=cluster.HetznerSpec.model_validate(settings),
        postgres=cluster.Postgres.model_construct(version=15, port=5432),
        nodes=tuple(map(cluster.Node.model_validate, node_documents)),
    )


def hetzner_project(sim: HetznerSimulator, token: str = TOKEN) -> HetznerProject:
    return HetznerProject("hetzner", Secret(token, "test"), sim.endpoint, CLUSTER)


def allow_restart(changes: Sequence[Change]) -> Impact:
    return Impact.RESTART


def run_loop(
    sim: HetznerSimulator,
    resources_by_tier: Sequence[Tier],
    approve: Approve = allow_restart,
    watcher: ActionRecorder | None = None,
    token: str = TOKEN,
    machines: Mapping[str, Target] = MappingProxyType({}),
) -> Report:
    """One run of the loop, with an `api_calls` that is this run's."""
    cloud = hetzner_project(sim, token)
    targets: dict[str, Target] = {
        "controller": Host("controller", LocalConnection),
        "hetzner": cloud,
    }
    targets |= machines
    report = converge(resources_by_tier, targets, approve, watcher or ActionRecorder())
    report.api_calls = cloud.api_calls
    return report


def remaining_keys(report: Report) -> dict[str, tuple[str, ...]]:
    """What is left, by name."""
    return {str(change.resource): change.keys for change in report.remaining}


def list_objects(sim: HetznerSimulator, kind: str) -> list[dict[str, Any]]:
    """By name: servers are made side by side."""
    items: list[dict[str, Any]] = sim.call("GET", f"/{kind}").json()[kind]
    return sorted(items, key=lambda item: str(item["name"]))


def only_object(sim: HetznerSimulator, kind: str) -> dict[str, Any]:
    """The only object of its kind."""
    (item,) = list_objects(sim, kind)
    return item


def call_and_wait(
    sim: HetznerSimulator, method: str, path: str, body: Any = None
) -> dict[str, Any]:
    """A call by somebody's hand, and its actions waited for."""
    answer = sim.call(method, path, body)
    assert answer.ok, answer.text
    document: dict[str, Any] = answer.json() if answer.content else {}
    started = [document["action"]] if document.get("action") else document.get("actions", [])
    sim.wait_for_actions([*started, *document.get("next_actions", [])])
    return document
