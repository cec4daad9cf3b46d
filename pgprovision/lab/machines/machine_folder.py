"""What the lab keeps on disk about one machine; every process reads the same files.

spec.json      the server as created, and the image folder it stands on
seats.json     its private network cards
rules.json     its cloud firewall; no file, no firewall
power          `on` or `off`: what should be, so that a lab brought up again starts it
disk/ work/    the overlay's own layers (root/ is where a boot mounts the overlay)
console.log    the machine's console output
supervisor.*   the process that runs it
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pgprovision.lab.command import LabError, write_atomically
from pgprovision.lab.hypervisor import LabFirewallRule, MachineSpec, PrivateInterface
from pgprovision.lab.network import LabNetwork
from pgprovision.lab.process import Daemon


@dataclass(frozen=True)
class LabEnvironment:
    """What all machines of a lab share: where they are kept, wires, and names they know."""

    home: Path
    network: LabNetwork
    hosts: tuple[tuple[str, str], ...] = ()  # address, name
    package_proxy: str | None = None  # URL

    def machine(self, machine: int) -> "MachineFolder":
        return MachineFolder(self, machine)

    def machines(self) -> "list[MachineFolder]":
        found = (self.home / "machines").glob("*/spec.json")
        return [MachineFolder(self, n) for n in sorted(int(path.parent.name) for path in found)]

    def save(self) -> None:
        document = {
            "number": self.network.number,
            "hosts": self.hosts,
            "package_proxy": self.package_proxy,
        }
        write_atomically(self.home / "site.json", json.dumps(document, indent=1))

    @classmethod
    def load(cls, home: Path) -> "LabEnvironment":
        document = json.loads((home / "site.json").read_text())
        hosts = tuple((address, name) for address, name in document["hosts"])
        return cls(home, LabNetwork(document["number"]), hosts, document["package_proxy"])


@dataclass(frozen=True)
class MachineFolder:
    """One machine's files."""

    environment: LabEnvironment
    machine: int

    @property
    def path(self) -> Path:
        return self.environment.home / "machines" / str(self.machine)

    @property
    def name(self) -> str:
        """Unique on this host; namespace, control group and nspawn machine are called so."""
        return self.environment.network.machine_namespace(self.machine)

    @property
    def supervisor(self) -> Daemon:
        return Daemon(self.path / "supervisor.pid", self.path / "supervisor.log")

    @property
    def exists(self) -> bool:
        return (self.path / "spec.json").exists()

    def spec(self) -> MachineSpec:
        document = self._read("spec.json")
        document.pop("lower")
        return MachineSpec(**{**document, "authorized_keys": tuple(document["authorized_keys"])})

    def public_addresses(self) -> tuple[str, ...]:
        """Its public addresses and ranges."""
        spec = self.spec()
        return tuple(filter(None, (spec.public_ipv4, spec.public_ipv6)))

    def image_folder(self) -> Path:
        """The image folder below the machine's own layer."""
        return Path(self._read("spec.json")["lower"])

    def save_spec(self, spec: MachineSpec, image_folder: Path) -> None:
        self._write("spec.json", {**asdict(spec), "lower": str(image_folder)})

    def interfaces(self) -> tuple[PrivateInterface, ...]:
        stored = self._read("seats.json", [])
        return tuple(
            PrivateInterface(
                **{**stored_interface, "alias_ips": tuple(stored_interface["alias_ips"])}
            )
            for stored_interface in stored
        )

    def save_interfaces(self, interfaces: tuple[PrivateInterface, ...]) -> None:
        self._write("seats.json", [asdict(interface) for interface in interfaces])

    def rules(self) -> tuple[LabFirewallRule, ...] | None:
        stored = self._read("rules.json", None)
        if stored is None:
            return None
        return tuple(LabFirewallRule(**{**rule, "ips": tuple(rule["ips"])}) for rule in stored)

    def save_rules(self, rules: tuple[LabFirewallRule, ...] | None) -> None:
        self._write("rules.json", None if rules is None else [asdict(rule) for rule in rules])

    @property
    def should_be_on(self) -> bool:
        power = self.path / "power"
        return power.exists() and power.read_text() == "on"

    def set_power(self, power: str) -> None:
        write_atomically(self.path / "power", power)

    @property
    def shutdown_marker(self) -> Path:
        return self.path / "halting"

    def _read(self, name: str, default: Any = ...) -> Any:
        try:
            return json.loads((self.path / name).read_text())
        except FileNotFoundError:
            if default is ...:
                raise LabError(
                    f"there is no machine {self.machine} in {self.environment.home}"
                ) from None
            return default

    def _write(self, name: str, content: object) -> None:
        # Mode 0600: user data may hold a host key.
        write_atomically(self.path / name, json.dumps(content, indent=1), mode=0o600)
