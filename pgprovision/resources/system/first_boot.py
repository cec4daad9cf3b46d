"""A host that is ready: its first boot is over, its private address is configured."""

from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Answer, Check, Probe, State, Waiting
from pgprovision.quote import sh

CLOUD_INIT_SECONDS = 900.0  # fifteen minutes have been seen at Hetzner
ADDRESS_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True)
class FirstBoot(Check):
    """cloud-init has ended. A host without cloud-init is ready."""

    kind: ClassVar[str] = "first boot"

    @property
    def name(self) -> str:
        return "cloud-init"

    def probe(self) -> Probe:
        return Probe(
            "[ -d /run/cloud-init ] || exit 0\n"
            "[ -e /run/cloud-init/disabled ] && exit 0\n"
            "[ -e /run/cloud-init/result.json ] || exit 3"
        )

    def read(self, answer: Answer) -> State | Waiting:
        if answer.code == 3:
            return Waiting("cloud-init on its first boot", CLOUD_INIT_SECONDS)
        return {"finished": True}

    def desired(self) -> State:
        return {"finished": True}


@dataclass(frozen=True, kw_only=True)
class PrivateAddress(Check):
    """The private address is on an interface of the host.

    PostgreSQL starts without an error when an address of `listen_addresses` is missing, so an
    interface that is late would leave a database that no client can reach.
    """

    kind: ClassVar[str] = "private address"
    address: str

    @property
    def name(self) -> str:
        return self.address

    def probe(self) -> Probe:
        return Probe(f"ip -4 -o addr show | grep -qwF {sh(f'inet {self.address}')} || exit 3")

    def read(self, answer: Answer) -> State | Waiting:
        if answer.code == 3:
            return Waiting(
                f"private address {self.address} on an interface of {self.on} (ip -4 addr)",
                ADDRESS_SECONDS,
            )
        return {"present": True}

    def desired(self) -> State:
        return {"present": True}
