"""What a run talks to: the controller, the cloud if there is one, and each node over SSH."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self

from pgprovision.clients.hetzner.project import Hetzner
from pgprovision.engine.loop import CLOUD
from pgprovision.engine.model import Ask, Report, Resource, Tier, Waiting
from pgprovision.engine.observe import Target
from pgprovision.errors import CloudSilent, PgprovisionError, Refused
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.resources.hetzner.hetzner_resource import address_of, is_ours
from pgprovision.resources.hetzner.node_registry import PREFIX
from pgprovision.run.address_cache import remembered
from pgprovision.transport.connection import Wire
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalWire
from pgprovision.transport.lock import Claim

HERE = "here"
YOUNG = timedelta(minutes=15)  # a server this new may still be booting
BOOT_SECONDS = 300.0


class Targets(dict[str, Target]):
    """Targets by name. Closes every connection at the end."""

    def __init__(self, inventory: Inventory) -> None:
        super().__init__()
        self._inventory = inventory
        self[HERE] = Host(HERE, LocalWire)
        self.cloud: Hetzner | None = None
        self.silent: CloudSilent | None = None
        self.found: dict[str, str] = {}
        if inventory.hetzner is not None:
            self.cloud = Hetzner(
                CLOUD,
                inventory.hetzner.token,
                inventory.hetzner.endpoint,
                inventory.cluster,
                going_down=self._let_go,
            )
            self[CLOUD] = self.cloud
        for node in inventory.nodes:
            self[node.name] = Host(node.name, partial(self._connect, node))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.end()

    def claim(self, claim: Claim) -> None:
        """From now on nothing is done on a machine unless this run holds it."""
        for host in self._hosts():
            host.keeper.claim(claim)

    def hold(self) -> bool:
        """Take every machine that is there and that the run is about: reached side by side, taken
        in order of their names, so that of two runs one gets all. Raises Locked, Unreachable."""
        hosts = sorted((host for host in self._hosts() if host.needed), key=lambda h: h.name)
        with ThreadPoolExecutor(max(1, len(hosts))) as pool:
            list(pool.map(lambda host: host.keeper.reach(), hosts))
        taken = [host.keeper.take() for host in hosts]
        return any(taken)

    def note(self, text: str) -> None:
        """For the record of the run on every machine that it holds."""
        for host in self._hosts():
            host.keeper.note(text)

    def stop(self) -> None:
        """What runs on the machines is the last of this run; the cloud finishes its call."""
        if self.cloud is not None:
            self.cloud.stop()
        for host in self._hosts():
            host.stop()

    def cut(self) -> None:
        """Every line, now."""
        for host in self._hosts():
            host.close()

    def end(self) -> None:
        """Let go of every machine."""
        for target in self.values():
            if isinstance(target, Host):
                target.end()

    def _hosts(self) -> list[Host]:
        return [t for t in self.values() if isinstance(t, Host) and t.name != HERE]

    def only(self, tiers: Sequence[Tier]) -> None:
        """Hosts that none of these resources is on are glanced at, for what others ask of them."""
        on = {resource.on for tier in tiers for resource in tier.resources}
        for name, target in self.items():
            if isinstance(target, Host):
                target.needed = name in on

    def answers(self, node: Node) -> bool:
        """Whether a node lets us in now. Raises Refused where something else answers in its place:
        that is no machine that is away."""
        try:
            return isinstance(self[node.name].look((Ask("true"),)), dict)
        except Refused:
            raise
        except PgprovisionError:
            return False

    def has(self, node: Node, ask: Ask) -> bool:
        """Whether a node answers now and this holds there."""
        try:
            seen = self[node.name].look((ask,))
        except PgprovisionError:
            return False
        return isinstance(seen, dict) and seen[ask].code == 0

    def count(self, report: Report) -> None:
        """Trips per host and API calls, for the report."""
        report.trips = {
            name: target.trips
            for name, target in self.items()
            if isinstance(target, Host) and name != HERE
        }
        report.api_calls = self.cloud.api_calls if self.cloud else 0

    def ask_cloud(self) -> None:
        """See whether the API answers; where it does not, go on without it."""
        try:
            if self.cloud is not None:
                self.cloud.look((Ask("servers"),))
        except CloudSilent as error:
            self.silent = error

    def without_cloud(self, tiers: Sequence[Tier]) -> Sequence[Tier]:
        """What can be looked at while the API is silent."""

        def spoken_for(resource: Resource) -> bool:
            return CLOUD not in {resource.on, *(need.on for need in resource.needs())}

        return [Tier(t.title, tuple(filter(spoken_for, t.resources))) for t in tiers]

    def address(self, node: Node) -> str | None:
        """Where a node answers SSH; None while its server does not exist. Where the API is silent,
        as it was last. Raises CloudError."""
        if node.address is not None or self.cloud is None:
            return node.address
        if self.silent is not None:
            known = remembered(self._inventory.cluster).get(node.name)
            if known is None:
                raise self.silent
            return known
        seen = self.cloud.look((Ask("servers"),))
        found = address_of(seen[Ask("servers")].items, self._inventory.cluster, node.name)
        if found is not None:
            self.found[node.name] = found
        return found

    def addresses(self) -> dict[str, str | None]:
        """Every node's address."""
        return {node.name: self.address(node) for node in self._inventory.nodes}

    def _let_go(self, server: str) -> None:
        """Whoever looks next connects anew, and waits while it boots."""
        host = self.get(server)
        if isinstance(host, Host):
            host.close()
            host.keeper.drop()

    def _connect(self, node: Node) -> Wire | Waiting | None:
        from pgprovision.transport.ssh import NotAnswering, SshWire, Way

        host = self.address(node)
        if host is None:
            return None
        way = Way(
            node=node.name,
            host=host,
            user=node.ssh.user,
            port=node.ssh.port,
            identity=node.ssh.identity_file,
            jump=node.ssh.jump,
            known_hosts=node.ssh.known_hosts,
            config=node.ssh.config,
        )
        try:
            return SshWire(way)
        except NotAnswering as error:
            if self._booting(node):
                what = "a login" if "login" in error.what else "SSH"
                return Waiting(f"{what} on {node.name} ({host})", limit=BOOT_SECONDS)
            raise

    def _booting(self, node: Node) -> bool:
        if self.cloud is None or node.address is not None:
            return False
        if self.cloud.acted:
            return True
        kinds = Ask("servers"), Ask("placement_groups")
        seen = self.cloud.look(kinds)
        servers, groups = (seen[ask].items for ask in kinds)
        if any(f"{PREFIX}{node.name}" in group["labels"] for group in groups):
            return False  # it was finished once
        born = [
            datetime.fromisoformat(str(server["created"]))
            for server in servers
            if server["name"] == node.name and is_ours(server, self._inventory.cluster)
        ]
        return any(datetime.now(UTC) - created < YOUNG for created in born)
