"""A small cluster's cloud, wished for on a simulator, and a watcher that remembers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pgprovision.clients.hetzner.project import Hetzner
from pgprovision.engine.loop import Approve, converge
from pgprovision.engine.model import Change, Do, Impact, Report, Resource, Tier, Waiting
from pgprovision.engine.observe import Target
from pgprovision.inventory.schema import cluster
from pgprovision.resources.hetzner.firewall import Firewall, ssh
from pgprovision.resources.hetzner.host_key import HostKey
from pgprovision.resources.hetzner.network import Network
from pgprovision.resources.hetzner.placement_group import PlacementGroup
from pgprovision.resources.hetzner.server import Server
from pgprovision.resources.hetzner.ssh_key import SshKey, fingerprint
from pgprovision.secret import Secret
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalWire
from tests.support.hetzner_simulator import SSH_KEY, TOKEN, Simulator

CLUSTER = "lab"


@dataclass
class Notebook:
    """An engine's watcher. `stop` is called before each action is reported done."""

    stop: Callable[[Do], None] = lambda action: None
    actions: list[str] = field(default_factory=list)

    def tier(self, title: str) -> None: ...

    def acting(self, changes: Sequence[Change]) -> None: ...

    def done(self, change: Change, action: Do) -> None:
        self.stop(action)
        self.actions.append(action.why)

    def failed(self, target: str, error: Exception) -> None: ...

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None: ...


def host_key(folder: Path, node: str) -> HostKey:
    return HostKey(
        cluster=CLUSTER,
        node=node,
        folder=str(folder / "host_keys"),
        known_hosts=str(folder / "known_hosts"),
    )


def server(node: str, ip: str, **changes: Any) -> Server:
    made = Server(
        cluster=CLUSTER,
        called=node,
        server_type="ccx13",
        image="debian-12",
        location="ash",
        network="net",
        private_ip=ip,
        placement_group="group",
        firewall="ssh-only",
        ssh_keys=(fingerprint(SSH_KEY),),
    )
    return replace(made, **changes)


def tiers(folder: Path, nodes: int = 1) -> tuple[Tier, ...]:
    """Host keys, then everything at Hetzner, for db-1 to db-N."""
    names = [f"db-{n}" for n in range(1, nodes + 1)]
    keys = [host_key(folder, name) for name in names]
    surroundings = (
        Network(
            cluster=CLUSTER,
            called="net",
            ip_range="10.0.0.0/16",
            subnet="10.0.1.0/24",
            zone="us-east",
        ),
        PlacementGroup(cluster=CLUSTER, called="group", size=nodes),
        Firewall(cluster=CLUSTER, called="ssh-only", rules=(ssh(["192.0.2.0/24"]),)),
        SshKey(cluster=CLUSTER, called="me", public_key=SSH_KEY),
    )
    servers = (
        server(name, f"10.0.1.{10 + n}", host_key=keys[n - 1])
        for n, name in enumerate(names, start=1)
    )
    return Tier("host keys", tuple(keys)), Tier("cloud", (*surroundings, *servers))


def inventory(folder: Path, sim: Simulator, nodes: int = 2, **cloud: object) -> cluster.Inventory:
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
    made = [
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
        hetzner=cluster.Hetzner.model_validate(settings),
        postgres=cluster.Postgres.model_construct(version=15, port=5432),
        nodes=tuple(map(cluster.Node.model_validate, made)),
    )


def project(sim: Simulator, token: str = TOKEN) -> Hetzner:
    return Hetzner("hetzner", Secret(token, "test"), sim.endpoint, CLUSTER)


def allowed(changes: Sequence[Change]) -> Impact:
    return Impact.RESTART


def run(
    sim: Simulator,
    wishes: Sequence[Tier],
    approve: Approve = allowed,
    watcher: Notebook | None = None,
    token: str = TOKEN,
    machines: Mapping[str, Target] = MappingProxyType({}),
) -> Report:
    """One run of the loop, with an `api_calls` that is this run's."""
    cloud = project(sim, token)
    targets: dict[str, Target] = {"here": Host("here", LocalWire), "hetzner": cloud}
    targets |= machines
    report = converge(wishes, targets, approve, watcher or Notebook())
    report.api_calls = cloud.api_calls
    return report


def keys(report: Report) -> dict[str, tuple[str, ...]]:
    """What is left, by name."""
    return {str(change.resource): change.keys for change in report.left}


def listed(sim: Simulator, kind: str) -> list[dict[str, Any]]:
    """By name: servers are made side by side."""
    items: list[dict[str, Any]] = sim.call("GET", f"/{kind}").json()[kind]
    return sorted(items, key=lambda item: str(item["name"]))


def one(sim: Simulator, kind: str) -> dict[str, Any]:
    """The only object of its kind."""
    (item,) = listed(sim, kind)
    return item


def do(sim: Simulator, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """A call by somebody's hand, and its actions waited for."""
    answer = sim.call(method, path, body)
    assert answer.ok, answer.text
    said: dict[str, Any] = answer.json() if answer.content else {}
    begun = [said["action"]] if said.get("action") else said.get("actions", [])
    sim.finish([*begun, *said.get("next_actions", [])])
    return said
