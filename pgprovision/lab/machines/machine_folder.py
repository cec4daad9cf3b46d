"""What the lab keeps on disk about one machine; every process reads the same files.

spec.json      the server as created, and the image folder it stands on
seats.json     its private network cards
rules.json     its cloud firewall; no file, no firewall
power          `on` or `off`: what should be, so that a lab brought up again starts it
disk/ work/    the overlay's own layers (root/ is where a boot mounts the whole)
console.log    everything the machine said on its console
supervisor.*   the process that runs it
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pgprovision.lab.command import LabError, write
from pgprovision.lab.hypervisor import MachineSpec, Rule, Seat
from pgprovision.lab.network import Network
from pgprovision.lab.process import Daemon


@dataclass(frozen=True)
class Site:
    """What all machines of a lab share: where they are kept, wires, and names they know."""

    home: Path
    network: Network
    hosts: tuple[tuple[str, str], ...] = ()  # address, name
    package_proxy: str | None = None  # URL

    def machine(self, machine: int) -> "Folder":
        return Folder(self, machine)

    def machines(self) -> "list[Folder]":
        found = (self.home / "machines").glob("*/spec.json")
        return [Folder(self, n) for n in sorted(int(path.parent.name) for path in found)]

    def save(self) -> None:
        facts = {
            "number": self.network.number,
            "hosts": self.hosts,
            "package_proxy": self.package_proxy,
        }
        write(self.home / "site.json", json.dumps(facts, indent=1))

    @classmethod
    def load(cls, home: Path) -> "Site":
        facts = json.loads((home / "site.json").read_text())
        hosts = tuple((address, name) for address, name in facts["hosts"])
        return cls(home, Network(facts["number"]), hosts, facts["package_proxy"])


@dataclass(frozen=True)
class Folder:
    """One machine's files."""

    site: Site
    machine: int

    @property
    def path(self) -> Path:
        return self.site.home / "machines" / str(self.machine)

    @property
    def name(self) -> str:
        """Unique on this host; namespace, control group and nspawn machine are called so."""
        return self.site.network.machine(self.machine)

    @property
    def supervisor(self) -> Daemon:
        return Daemon(self.path / "supervisor.pid", self.path / "supervisor.log")

    @property
    def exists(self) -> bool:
        return (self.path / "spec.json").exists()

    def spec(self) -> MachineSpec:
        facts = self._read("spec.json")
        facts.pop("lower")
        return MachineSpec(**{**facts, "authorized_keys": tuple(facts["authorized_keys"])})

    def public(self) -> tuple[str, ...]:
        """Its public addresses and ranges."""
        spec = self.spec()
        return tuple(filter(None, (spec.public_ipv4, spec.public_ipv6)))

    def lower(self) -> Path:
        """The image folder below the machine's own layer."""
        return Path(self._read("spec.json")["lower"])

    def save_spec(self, spec: MachineSpec, lower: Path) -> None:
        self._write("spec.json", {**asdict(spec), "lower": str(lower)})

    def seats(self) -> tuple[Seat, ...]:
        stored = self._read("seats.json", [])
        return tuple(Seat(**{**seat, "alias_ips": tuple(seat["alias_ips"])}) for seat in stored)

    def save_seats(self, seats: tuple[Seat, ...]) -> None:
        self._write("seats.json", [asdict(seat) for seat in seats])

    def rules(self) -> tuple[Rule, ...] | None:
        stored = self._read("rules.json", None)
        if stored is None:
            return None
        return tuple(Rule(**{**rule, "ips": tuple(rule["ips"])}) for rule in stored)

    def save_rules(self, rules: tuple[Rule, ...] | None) -> None:
        self._write("rules.json", None if rules is None else [asdict(rule) for rule in rules])

    @property
    def wanted_on(self) -> bool:
        power = self.path / "power"
        return power.exists() and power.read_text() == "on"

    def want(self, power: str) -> None:
        write(self.path / "power", power)

    @property
    def halting(self) -> Path:
        return self.path / "halting"

    def _read(self, name: str, otherwise: Any = ...) -> Any:
        try:
            return json.loads((self.path / name).read_text())
        except FileNotFoundError:
            if otherwise is ...:
                raise LabError(f"there is no machine {self.machine} in {self.site.home}") from None
            return otherwise

    def _write(self, name: str, content: object) -> None:
        # Mode 0600: user data may hold a host key.
        write(self.path / name, json.dumps(content, indent=1), mode=0o600)
