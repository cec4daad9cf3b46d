"""The private network between the nodes."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Diff, State
from pgprovision.errors import Refused
from pgprovision.hetzner_labels import ApiObject, find_object
from pgprovision.resources.hetzner.hetzner_resource import HetznerResource


@dataclass(frozen=True, kw_only=True)
class HetznerNetwork(HetznerResource):
    """A network with the subnet of the nodes. It is never deleted, shrunk or moved."""

    kind: ClassVar[str] = "network"
    collection: ClassVar[str] = "networks"
    ip_range: str
    subnet: str
    zone: str
    existing: bool = False
    """pgprovision did not create it: it is only looked up, by name or id, and must contain the
    subnet."""

    def read(self, answer: Answer) -> State | None:
        item = find_object(answer.items, self.object_name) if self.existing else self.find(answer)
        if item is None:
            if self.existing:
                raise Refused(
                    f"there is no network {self.object_name} in this project, and the inventory "
                    "says it exists",
                    next="correct hetzner.network.name, or remove `existing`, and it is created",
                )
            return None
        if item["ip_range"] != self.ip_range:
            raise Refused(
                f"the network's range is {item['ip_range']}, the inventory says {self.ip_range}; "
                "a network in use is not moved",
                next=f"put ip_range: {item['ip_range']} under hetzner.network in the inventory",
            )
        return {"subnet": self._find_subnet(item)}

    def _find_subnet(self, item: ApiObject) -> str | None:
        """The declared subnet, if it exists (an existing network may have a wider one)."""
        desired = IPv4Network(self.subnet)
        for subnet in item["subnets"]:
            if not desired.subnet_of(IPv4Network(subnet["ip_range"])):
                continue
            if subnet["network_zone"] != self.zone:
                raise Refused(
                    f"subnet {subnet['ip_range']} is in zone {subnet['network_zone']}, the "
                    f"inventory says {self.zone}; a private network never spans zones",
                    next="correct hetzner.network.network_zone, or choose another network",
                )
            return self.subnet
        if self.existing:
            raise Refused(
                f"no subnet of this network contains {self.subnet}",
                next=f"add one yourself: hcloud network add-subnet {self.object_name} --type cloud "
                f"--network-zone {self.zone} --ip-range {self.subnet}",
            )
        return None

    def desired(self) -> State:
        return {"subnet": self.subnet}

    def change(self, diff: Diff) -> Iterable[Action]:
        subnet = {"type": "cloud", "ip_range": self.subnet, "network_zone": self.zone}
        if diff.before is None:
            yield self.create({"ip_range": self.ip_range, "subnets": [subnet]})
        else:
            yield self.action(f"add subnet {self.subnet} to {self}", "add_subnet", subnet)
