"""What the Hetzner API simulator asks of whatever runs its servers.

The simulator (`lab/cloud`) keeps the API's view; a `Hypervisor` keeps real machines. The lab's
own is systemd-nspawn (`lab/machines`); tests of the API alone use `tests/unit`'s in-memory one.
Every call blocks until it is done, is idempotent, and raises `HypervisorError` with a sentence a
person can act on.
"""

from dataclasses import dataclass
from typing import Literal, Protocol


class HypervisorError(Exception):
    """A machine could not do what was asked; the text says which and why."""


@dataclass(frozen=True)
class MachineSpec:
    """A server as the API was asked for it. `id` and `name` are the API's; image `debian-12`...

    `public_ipv6`: the /64 routed to it, of which it has the first address; empty: none.
    """

    id: int
    name: str
    image: str
    public_ipv4: str
    authorized_keys: tuple[str, ...]
    user_data: str = ""
    public_ipv6: str = ""


@dataclass(frozen=True)
class PrivateInterface:
    """One place in a private network: a network card of its own, /32, MTU 1450, routed."""

    network_id: int
    ip: str
    network_range: str
    gateway: str
    mac: str
    index: int = 0
    alias_ips: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabFirewallRule:
    """One cloud firewall rule in the API's words; `port` as the API has it: "22", "80-85"."""

    direction: Literal["in", "out"]
    protocol: Literal["tcp", "udp", "icmp", "esp", "gre"]
    port: str | None
    ips: tuple[str, ...]


class Hypervisor(Protocol):
    """Real machines behind the API. Public addresses come from `public_addresses()`."""

    def public_addresses(self) -> tuple[str, ...]:
        """The IPv4 addresses that servers of this lab may get, in order."""
        ...

    def create(self, spec: MachineSpec) -> None:
        """Make the disk and the cloud-init seed. The machine stays off."""
        ...

    def start(self, machine: int, interfaces: tuple[PrivateInterface, ...]) -> None:
        """Power on with these private network cards."""
        ...

    def power_off(self, machine: int) -> None:
        """Cut the power."""
        ...

    def shutdown(self, machine: int) -> None:
        """Ask the machine to shut down (ACPI); returns at once."""
        ...

    def reboot(self, machine: int) -> None:
        """Ask the machine to reboot (ACPI); returns at once."""
        ...

    def reset(self, machine: int) -> None:
        """Cut the power and start again."""
        ...

    def delete(self, machine: int) -> None:
        """Power off and remove the disk. An unknown machine is already deleted."""
        ...

    def rebuild(self, spec: MachineSpec) -> None:
        """Wipe the disk and create it again from the spec's image; the machine stays off."""
        ...

    def attach(self, machine: int, interface: PrivateInterface) -> None:
        """Give a running machine one more private network card."""
        ...

    def detach(self, machine: int, network_id: int) -> None:
        """Take that network's card out of a running machine."""
        ...

    def set_firewall(self, machine: int, rules: tuple[LabFirewallRule, ...] | None) -> None:
        """Enforce these rules on the public side; None means no firewall at all."""
        ...

    def is_running(self, machine: int) -> bool:
        """Whether the machine has power now."""
        ...
