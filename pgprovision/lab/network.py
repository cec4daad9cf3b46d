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

from pgprovision.lab.command import LabError, attempt, locked, run
from pgprovision.lab.hypervisor import MachineSpec, Seat
from pgprovision.lab.links import add_namespace, ip, namespaces, veth

NUMBERS = range(1, 255)
CACHE_ADDRESS = "198.18.0.1"  # the package cache, the same for all labs: N is never 0
_GATEWAY = "172.31.1.1"  # what a Hetzner server's default route points at
_GATEWAY6 = "fe80::1"
_LAST_METRIC = 4278198272  # only where no other route is left
HOST_LOCK = Path("/run/lock/pgprovision-lab")  # whoever changes networks or takes a number


@dataclass(frozen=True)
class Network:
    """Names and addresses of lab N. The range 198.18.0.0/15 is reserved for test networks."""

    number: int

    @property
    def router(self) -> str:
        return f"pglab{self.number}"

    @property
    def range(self) -> str:
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

    def machine(self, machine: int) -> str:
        """The machine's namespace; also its name to systemd-nspawn and its control group."""
        return f"{self.router}-m{machine}"

    def private(self, network_id: int) -> str:
        return f"{self.router}-n{network_id}"

    # The lab's own side.

    def up(self, owner: str) -> None:
        """Make the router and its link to the host, unless they stand.

        `owner`, the lab's folder, is noted on the link; raises LabError if it is another's.
        """
        with locked(HOST_LOCK):
            if (other := self._owner()) not in (None, owner):
                raise LabError(
                    f"addresses {self.range} are in use by the lab in {other}; take that one down"
                )
            if self.stands():
                return
            self._clear()
            host, near, far = self.router, self.host_address, self.router_address
            add_namespace(self.router, ipv6=True)
            ip(f"link add {host} type veth peer name host netns {self.router}")
            ip(
                f"link set {host} alias {owner}",
                f"addr add {near} peer {far} dev {host}",
                f"link set {host} up",
                f"route add {self.range} via {far} src {near}",
                # Without the link above, nothing meant for a machine may leave by another.
                f"route add unreachable {self.range} metric {_LAST_METRIC}",
            )
            ip(
                f"addr add {far} peer {near} dev host",
                "link set host up",
                f"route add {CACHE_ADDRESS} via {near}",
                namespace=self.router,
            )

    def stands(self) -> bool:
        return self.router in namespaces() and Path(f"/sys/class/net/{self.router}").exists()

    def down(self, owner: str) -> None:
        """Remove every namespace, link and route of this lab."""
        with locked(HOST_LOCK):
            if self._owner() in (None, owner):
                self._clear()

    def _owner(self) -> str | None:
        alias = Path(f"/sys/class/net/{self.router}/ifalias")
        return alias.read_text().strip() or None if alias.exists() else None

    def _clear(self) -> None:
        for name in namespaces():
            if re.fullmatch(rf"{self.router}(-[mn]\d+)?", name):
                attempt("ip", "netns", "delete", name)
        attempt("ip", "link", "delete", self.router)
        attempt("ip", "route", "delete", "unreachable", self.range, "metric", str(_LAST_METRIC))

    # Machines.

    def plug(self, spec: MachineSpec, seats: Callable[[], Iterable[Seat]]) -> str:
        """Give a machine about to boot a fresh namespace with all its cards; returns its name.

        `seats` is asked under the lock, so a card attached meanwhile is in or comes after.
        """
        machine, public_ipv4 = spec.id, spec.public_ipv4
        inside, card = self.machine(machine), f"m{machine}"
        with locked(HOST_LOCK):
            self._unplug(machine)
            add_namespace(inside, forward=False)
            veth(card, self.router, "eth0", inside, mac=_public_mac(machine), mtu=1500)
            ip(
                f"addr add {_GATEWAY}/32 dev {card}",
                f"link set {card} up",
                f"route add {public_ipv4}/32 dev {card}",
                namespace=self.router,
            )
            ip(
                f"addr add {public_ipv4}/32 dev eth0",
                "link set eth0 up",
                f"route add {_GATEWAY} dev eth0 scope link",
                f"route add default via {_GATEWAY} dev eth0",
                namespace=inside,
            )
            if spec.public_ipv6:
                self._plug_ipv6(inside, card, ip_network(spec.public_ipv6))
            for seat in seats():
                self._plug_private(machine, seat)
        return inside

    def _plug_ipv6(self, inside: str, card: str, prefix: IPv4Network | IPv6Network) -> None:
        """Routed to the machine as a whole; it has the first address of it."""
        ip(
            f"addr add {_GATEWAY6}/64 dev {card} nodad",
            f"route add {prefix} dev {card}",
            namespace=self.router,
        )
        ip(
            f"addr add {prefix[1]}/64 dev eth0 nodad",
            f"route add default via {_GATEWAY6} dev eth0",
            namespace=inside,
        )

    def plug_private(self, machine: int, seat: Seat) -> None:
        """One more card for a machine that runs."""
        with locked(HOST_LOCK):
            if self.machine(machine) in namespaces():
                self._unplug_private(machine, seat.network_id)
                self._plug_private(machine, seat)

    def unplug_private(self, machine: int, network_id: int) -> None:
        with locked(HOST_LOCK):
            self._unplug_private(machine, network_id)

    def unplug(self, machine: int) -> None:
        """Take all cards out and drop the machine's namespace."""
        with locked(HOST_LOCK):
            self._unplug(machine)

    def _plug_private(self, machine: int, seat: Seat) -> None:
        inside, outside = self.machine(machine), self.private(seat.network_id)
        card, name = f"m{machine}", private_card(seat)
        if outside not in namespaces():
            add_namespace(outside)
        veth(card, outside, name, inside, mac=seat.mac, mtu=1450)
        ip(
            f"addr add {seat.gateway}/32 dev {card}",
            f"link set {card} up",
            *(f"route add {own}/32 dev {card}" for own in (seat.ip, *seat.alias_ips)),
            namespace=outside,
        )
        ip(
            f"addr add {seat.ip}/32 dev {name}",
            f"link set {name} up",
            f"route append {seat.gateway} dev {name} scope link",
            f"route append {seat.network_range} via {seat.gateway} dev {name} onlink",
            namespace=inside,
        )

    def _unplug_private(self, machine: int, network_id: int) -> None:
        attempt("ip", "-n", self.private(network_id), "link", "delete", f"m{machine}")

    def _unplug(self, machine: int) -> None:
        # Deleting a namespace frees its cards some time later; deleting a card frees both ends
        # now, so that the next boot finds the names free.
        for name in namespaces():
            if re.fullmatch(rf"{self.router}(-n\d+)?", name):
                attempt("ip", "-n", name, "link", "delete", f"m{machine}")
        if self.machine(machine) in namespaces():
            run("ip", "netns", "delete", self.machine(machine))


def private_card(seat: Seat) -> str:
    """Card names as on the dedicated server types: enp7s0, enp8s0, ..."""
    return f"enp{7 + seat.index}s0"


def free_number(name: str, taken: Iterable[int]) -> int:
    """A lab number nobody has; the name decides where the search starts, so it tends to stay."""
    used = {*taken, *numbers_in_use()}
    start = zlib.crc32(name.encode()) % len(NUMBERS)
    for step in range(len(NUMBERS)):
        number = NUMBERS[(start + step) % len(NUMBERS)]
        if number not in used:
            return number
    raise LabError("all lab numbers are taken; `pgprovision lab destroy --name NAME` frees one")


def numbers_in_use() -> set[int]:
    """Numbers whose addresses some lab, or anything else on this host, has routes for."""
    return {int(n) for n in re.findall(r"\b198\.18\.(\d+)\.\d+", run("ip", "-4", "route"))}


def _public_mac(machine: int) -> str:
    octets = machine.to_bytes(4, "big")
    return "96:00:" + ":".join(f"{octet:02x}" for octet in octets)
