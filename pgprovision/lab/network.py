"""The lab's wires. As at Hetzner both sides of a server are routed /32, and nothing leads out.

- One *router* namespace per lab joins the servers' public cards and the host. It has no default
  route, so no path leads out of the lab; the cloud firewall sits here. Forwarding is on only
  inside it, the host's own switch stays as it is.
- Public IPv6 ends at the router: every lab has the same ranges (2001:db8::/32), and whoever tries
  them stands on the router.
- Each private network is a namespace of its own that forwards between its cards: two networks
  cannot see each other, may share a range, and nothing filters inside one.
- Each machine has a namespace, made afresh at every boot, so that what a machine did to its own
  network (addresses, nftables) is as gone after a reboot as on real hardware.

The lab's number N makes every name and address unique on the host: labs stand side by side.
"""

import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from pgprovision.lab.command import LabError, file_lock, run, succeeds
from pgprovision.lab.hypervisor import MachineSpec, PrivateInterface
from pgprovision.lab.links import add_namespace, add_veth, ip_batch, lab_namespaces

LAB_NUMBERS = range(1, 255)
CACHE_ADDRESS = "198.18.0.1"  # the package cache, the same for all labs: N is never 0
_GATEWAY = "172.31.1.1"  # what a Hetzner server's default route points at
_GATEWAY6 = "fe80::1"
_LAST_METRIC = 4278198272  # only where no other route is left
HOST_LOCK = Path("/run/lock/pgprovision-lab")  # whoever changes networks or takes a number


@dataclass(frozen=True)
class LabNetwork:
    """Names and addresses of lab N. The range 198.18.0.0/15 is reserved for test networks."""

    number: int

    @property
    def router(self) -> str:
        return f"pglab{self.number}"

    @property
    def address_range(self) -> str:
        return f"198.18.{self.number}.0/24"

    @property
    def host_address(self) -> str:
        """The host as the machines see it: API, S3."""
        return f"198.18.{self.number}.1"

    @property
    def router_address(self) -> str:
        return f"198.18.{self.number}.2"

    def public_addresses(self) -> tuple[str, ...]:
        return tuple(f"198.18.{self.number}.{last}" for last in range(10, 251))

    def machine_namespace(self, machine: int) -> str:
        """The machine's namespace; also its name to systemd-nspawn and its control group."""
        return f"{self.router}-m{machine}"

    def private_namespace(self, network_id: int) -> str:
        return f"{self.router}-n{network_id}"

    # The lab's own side.

    def up(self, owner: str) -> None:
        """Make the router and its link to the host, unless they stand.

        `owner`, the lab's folder, is noted on the link; raises LabError if it is another's.
        """
        with file_lock(HOST_LOCK):
            if (other := self._owner()) not in (None, owner):
                raise LabError(
                    f"addresses {self.address_range} are in use by the lab in {other}; "
                    "take that one down"
                )
            if self.exists():
                return
            self._clear()
            host, near, far = self.router, self.host_address, self.router_address
            add_namespace(self.router, ipv6=True)
            ip_batch(f"link add {host} type veth peer name host netns {self.router}")
            ip_batch(
                f"link set {host} alias {owner}",
                f"addr add {near} peer {far} dev {host}",
                f"link set {host} up",
                f"route add {self.address_range} via {far} src {near}",
                # Without the link above, nothing meant for a machine may leave by another.
                f"route add unreachable {self.address_range} metric {_LAST_METRIC}",
            )
            ip_batch(
                f"addr add {far} peer {near} dev host",
                "link set host up",
                f"route add {CACHE_ADDRESS} via {near}",
                namespace=self.router,
            )

    def exists(self) -> bool:
        return self.router in lab_namespaces() and Path(f"/sys/class/net/{self.router}").exists()

    def down(self, owner: str) -> None:
        """Remove every namespace, link and route of this lab."""
        with file_lock(HOST_LOCK):
            if self._owner() in (None, owner):
                self._clear()

    def _owner(self) -> str | None:
        alias = Path(f"/sys/class/net/{self.router}/ifalias")
        return alias.read_text().strip() or None if alias.exists() else None

    def _clear(self) -> None:
        for name in lab_namespaces():
            if re.fullmatch(rf"{self.router}(-[mn]\d+)?", name):
                succeeds("ip", "netns", "delete", name)
        succeeds("ip", "link", "delete", self.router)
        succeeds(
            "ip", "route", "delete", "unreachable", self.address_range, "metric", str(_LAST_METRIC)
        )

    # Machines.

    def connect_machine(
        self, spec: MachineSpec, interfaces: Callable[[], Iterable[PrivateInterface]]
    ) -> str:
        """Give a machine about to boot a fresh namespace with all its cards; returns its name.

        `interfaces` is asked under the lock, so a card attached meanwhile is in or comes after.
        """
        machine, public_ipv4 = spec.id, spec.public_ipv4
        inside, card = self.machine_namespace(machine), f"m{machine}"
        with file_lock(HOST_LOCK):
            self._disconnect_machine(machine)
            add_namespace(inside, forward=False)
            add_veth(card, self.router, "eth0", inside, mac=_public_mac(machine), mtu=1500)
            ip_batch(
                f"addr add {_GATEWAY}/32 dev {card}",
                f"link set {card} up",
                f"route add {public_ipv4}/32 dev {card}",
                namespace=self.router,
            )
            ip_batch(
                f"addr add {public_ipv4}/32 dev eth0",
                "link set eth0 up",
                f"route add {_GATEWAY} dev eth0 scope link",
                f"route add default via {_GATEWAY} dev eth0",
                namespace=inside,
            )
            if spec.public_ipv6:
                self._connect_ipv6(inside, card, ip_network(spec.public_ipv6))
            for interface in interfaces():
                self._attach_private(machine, interface)
        return inside

    def _connect_ipv6(self, inside: str, card: str, prefix: IPv4Network | IPv6Network) -> None:
        """Routed to the machine as a whole; it has the first address of it."""
        ip_batch(
            f"addr add {_GATEWAY6}/64 dev {card} nodad",
            f"route add {prefix} dev {card}",
            namespace=self.router,
        )
        ip_batch(
            f"addr add {prefix[1]}/64 dev eth0 nodad",
            f"route add default via {_GATEWAY6} dev eth0",
            namespace=inside,
        )

    def attach_private(self, machine: int, interface: PrivateInterface) -> None:
        """One more card for a machine that runs."""
        with file_lock(HOST_LOCK):
            if self.machine_namespace(machine) in lab_namespaces():
                self._detach_private(machine, interface.network_id)
                self._attach_private(machine, interface)

    def detach_private(self, machine: int, network_id: int) -> None:
        with file_lock(HOST_LOCK):
            self._detach_private(machine, network_id)

    def disconnect_machine(self, machine: int) -> None:
        """Take all cards out and drop the machine's namespace."""
        with file_lock(HOST_LOCK):
            self._disconnect_machine(machine)

    def _attach_private(self, machine: int, interface: PrivateInterface) -> None:
        inside, outside = (
            self.machine_namespace(machine),
            self.private_namespace(interface.network_id),
        )
        card, name = f"m{machine}", private_interface_name(interface)
        if outside not in lab_namespaces():
            add_namespace(outside)
        add_veth(card, outside, name, inside, mac=interface.mac, mtu=1450)
        ip_batch(
            f"addr add {interface.gateway}/32 dev {card}",
            f"link set {card} up",
            *(f"route add {own}/32 dev {card}" for own in (interface.ip, *interface.alias_ips)),
            namespace=outside,
        )
        ip_batch(
            f"addr add {interface.ip}/32 dev {name}",
            f"link set {name} up",
            f"route append {interface.gateway} dev {name} scope link",
            f"route append {interface.network_range} via {interface.gateway} dev {name} onlink",
            namespace=inside,
        )

    def _detach_private(self, machine: int, network_id: int) -> None:
        succeeds("ip", "-n", self.private_namespace(network_id), "link", "delete", f"m{machine}")

    def _disconnect_machine(self, machine: int) -> None:
        # Deleting a namespace frees its cards some time later; deleting a card frees both ends
        # now, so that the next boot finds the names free.
        for name in lab_namespaces():
            if re.fullmatch(rf"{self.router}(-n\d+)?", name):
                succeeds("ip", "-n", name, "link", "delete", f"m{machine}")
        if self.machine_namespace(machine) in lab_namespaces():
            run("ip", "netns", "delete", self.machine_namespace(machine))


def private_interface_name(interface: PrivateInterface) -> str:
    """Card names as on the dedicated server types: enp7s0, enp8s0, ..."""
    return f"enp{7 + interface.index}s0"


def free_number(name: str, taken: Iterable[int]) -> int:
    """A lab number nobody has; the name decides where the search starts, so it tends to stay."""
    used = {*taken, *numbers_in_use()}
    start = zlib.crc32(name.encode()) % len(LAB_NUMBERS)
    for step in range(len(LAB_NUMBERS)):
        number = LAB_NUMBERS[(start + step) % len(LAB_NUMBERS)]
        if number not in used:
            return number
    raise LabError("all lab numbers are taken; `pgprovision lab destroy --name NAME` frees one")


def numbers_in_use() -> set[int]:
    """Numbers with addresses that some lab, or anything else on this host, has routes for."""
    return {int(n) for n in re.findall(r"\b198\.18\.(\d+)\.\d+", run("ip", "-4", "route"))}


def _public_mac(machine: int) -> str:
    octets = machine.to_bytes(4, "big")
    return "96:00:" + ":".join(f"{octet:02x}" for octet in octets)
