"""What a run talks to: the controller, the cloud if there is one, and each node over SSH."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Self

from pgprovision.clients.hetzner.project import HetznerProject
from pgprovision.engine.loop import CLOUD
from pgprovision.engine.model import Probe, Report, Resource, Tier, Waiting, needs_of
from pgprovision.engine.observe import Target
from pgprovision.errors import CloudUnreachable, PgprovisionError, Refused
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.resources.hetzner.hetzner_resource import has_cluster_labels, server_address
from pgprovision.resources.hetzner.node_registry import LABEL_PREFIX
from pgprovision.run.address_cache import cached_addresses
from pgprovision.transport.connection import Connection
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from pgprovision.transport.lock import LockRequest

CONTROLLER = "controller"
BOOTING_AGE = timedelta(minutes=15)  # a server this new may still be booting
BOOT_TIMEOUT = 300.0


class Targets(dict[str, Target]):
    """Targets by name. Closes every connection at the end."""

    def __init__(self, inventory: Inventory) -> None:
        super().__init__()
        self._inventory = inventory
        self[CONTROLLER] = Host(CONTROLLER, LocalConnection)
        self.cloud: HetznerProject | None = None
        self.cloud_error: CloudUnreachable | None = None
        self.known_addresses: dict[str, str] = {}
        if inventory.hetzner is not None:
            self.cloud = HetznerProject(
                CLOUD,
                inventory.hetzner.token,
                inventory.hetzner.endpoint,
                inventory.cluster,
                before_shutdown=self._on_server_stop,
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
        self.release()

    def require_locks(self, lock_request: LockRequest) -> None:
        """From now on no action runs on a host unless this run has its lock."""
        for host in self._hosts():
            host.lock_keeper.require_lock(lock_request)

    def lock_hosts(self) -> bool:
        """Take every machine that is there and that the run is about: reached side by side, taken
        in order of their names, so that of two runs one gets all. Raises Locked, Unreachable."""
        hosts = sorted((host for host in self._hosts() if host.required), key=lambda h: h.name)
        with ThreadPoolExecutor(max(1, len(hosts))) as pool:
            list(pool.map(lambda host: host.lock_keeper.ensure_connected(), hosts))
        taken = [host.lock_keeper.acquire() for host in hosts]
        return any(taken)

    def append_record(self, text: str) -> None:
        """For the record of the run on every machine that it holds."""
        for host in self._hosts():
            host.lock_keeper.append_record(text)

    def stop(self) -> None:
        """What runs on the machines is the last of this run; the cloud finishes its call."""
        if self.cloud is not None:
            self.cloud.stop()
        for host in self._hosts():
            host.stop()

    def disconnect(self) -> None:
        """Every line, now."""
        for host in self._hosts():
            host.close()

    def release(self) -> None:
        """Let go of every machine."""
        for target in self.values():
            if isinstance(target, Host):
                target.release()

    def _hosts(self) -> list[Host]:
        return [t for t in self.values() if isinstance(t, Host) and t.name != CONTROLLER]

    def limit_to(self, tiers: Sequence[Tier]) -> None:
        """Hosts that none of these resources is on are glanced at, for what others ask of them."""
        on = {resource.on for tier in tiers for resource in tier.resources}
        for name, target in self.items():
            if isinstance(target, Host):
                target.required = name in on

    def is_reachable(self, node: Node) -> bool:
        """Whether a node lets us in now. Raises Refused where something else answers in its place:
        that is no machine that is away."""
        try:
            return isinstance(self[node.name].observe((Probe("true"),)), dict)
        except Refused:
            raise
        except PgprovisionError:
            return False

    def probe_succeeds(self, node: Node, probe: Probe) -> bool:
        """Whether a node answers now and this holds there."""
        try:
            answers = self[node.name].observe((probe,))
        except PgprovisionError:
            return False
        return isinstance(answers, dict) and answers[probe].code == 0

    def count_requests(self, report: Report) -> None:
        """Trips per host and API calls, for the report."""
        report.round_trips = {
            name: target.round_trips
            for name, target in self.items()
            if isinstance(target, Host) and name != CONTROLLER
        }
        report.api_calls = self.cloud.api_calls if self.cloud else 0

    def check_cloud(self) -> None:
        """See whether the API answers; where it does not, go on without it."""
        try:
            if self.cloud is not None:
                self.cloud.observe((Probe("servers"),))
        except CloudUnreachable as error:
            self.cloud_error = error

    def without_cloud(self, tiers: Sequence[Tier]) -> Sequence[Tier]:
        """What can be looked at while the API is silent."""

        def is_independent(resource: Resource) -> bool:
            return CLOUD not in {resource.on, *(need.on for need in needs_of(resource))}

        return [replace(t, resources=tuple(filter(is_independent, t.resources))) for t in tiers]

    def address(self, node: Node) -> str | None:
        """Where a node answers SSH; None while its server does not exist. Where the API is silent,
        as it was last. Raises CloudError."""
        if node.address is not None or self.cloud is None:
            return node.address
        if self.cloud_error is not None:
            known = cached_addresses(self._inventory.cluster).get(node.name)
            if known is None:
                raise self.cloud_error
            return known
        answers = self.cloud.observe((Probe("servers"),))
        found = server_address(answers[Probe("servers")].items, self._inventory.cluster, node.name)
        if found is not None:
            self.known_addresses[node.name] = found
        return found

    def addresses(self) -> dict[str, str | None]:
        """Every node's address."""
        return {node.name: self.address(node) for node in self._inventory.nodes}

    def _on_server_stop(self, server: str) -> None:
        """The next probe connects again, and waits while it boots."""
        host = self.get(server)
        if isinstance(host, Host):
            host.close()
            host.lock_keeper.disconnect()

    def _connect(self, node: Node) -> Connection | Waiting | None:
        from pgprovision.transport.ssh import SshConnection, SshEndpoint, SshNotReady

        host = self.address(node)
        if host is None:
            return None
        way = SshEndpoint(
            node=node.name,
            host=host,
            user=node.ssh.user,
            port=node.ssh.port,
            identity_file=node.ssh.identity_file,
            jump_host=node.ssh.jump,
            known_hosts=node.ssh.known_hosts,
            ssh_config=node.ssh.config,
        )
        try:
            return SshConnection(way)
        except SshNotReady as error:
            if self._booting(node):
                what = "a login" if "login" in error.what else "SSH"
                return Waiting(f"{what} on {node.name} ({host})", timeout=BOOT_TIMEOUT)
            raise

    def _booting(self, node: Node) -> bool:
        if self.cloud is None or node.address is not None:
            return False
        if self.cloud.acted:
            return True
        kinds = Probe("servers"), Probe("placement_groups")
        answers = self.cloud.observe(kinds)
        servers, groups = (answers[kind].items for kind in kinds)
        if any(f"{LABEL_PREFIX}{node.name}" in group["labels"] for group in groups):
            return False  # it was finished once
        created_at = [
            datetime.fromisoformat(str(server["created"]))
            for server in servers
            if server["name"] == node.name and has_cluster_labels(server, self._inventory.cluster)
        ]
        return any(datetime.now(UTC) - created < BOOTING_AGE for created in created_at)
