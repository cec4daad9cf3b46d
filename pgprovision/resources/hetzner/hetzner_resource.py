"""The base of all resources at Hetzner: they have this cluster's labels; foreign ones are refused.

An object with our labels is ours. An object of the same name without them is never adopted, changed
or deleted.
"""

from abc import ABC
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Probe, Resource
from pgprovision.errors import Refused
from pgprovision.hetzner_labels import ApiObject, cluster_labels, has_cluster_labels

__all__ = [
    "HETZNER",
    "ApiObject",
    "HetznerResource",
    "cluster_labels",
    "has_cluster_labels",
    "server_address",
]

HETZNER = "hetzner"  # the target's name


def server_address(servers: Iterable[ApiObject], cluster: str, node: str) -> str | None:
    """The public address of a node's server, IPv6 where it has no IPv4; None where there is no
    server. Hetzner assigns a /64; the server has its first address."""
    for server in servers:
        if server["name"] == node and has_cluster_labels(server, cluster):
            public = server["public_net"]
            if ipv4 := public.get("ipv4"):
                return str(ipv4["ip"])
            if ipv6 := public.get("ipv6"):
                return str(ip_network(ipv6["ip"])[1])
    return None


def _label_text(label_map: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in label_map.items())


@dataclass(frozen=True, kw_only=True)
class HetznerResource(Resource, ABC):
    """An object in a Hetzner project, with a name that is unique there."""

    collection: ClassVar[str]  # the API's word for many of its kind
    on: str = HETZNER
    cluster: str
    object_name: str

    @property
    def name(self) -> str:
        return self.object_name

    def probe(self) -> Probe:
        return Probe(self.collection)

    def find(self, answer: Answer, *, foreign: bool = False) -> ApiObject | None:
        """The object of this name. Raises Refused where it is foreign, unless `foreign`."""
        item = next((i for i in answer.items if i["name"] == self.object_name), None)
        if item is None or foreign or has_cluster_labels(item, self.cluster):
            return item
        own_labels = _label_text(cluster_labels(self.cluster))
        raise Refused(
            f"the project has a {self.kind} of this name that is not ours "
            f"(id {item['id']}; its labels: {_label_text(item.get('labels') or {}) or 'none'}; "
            f"ours: {own_labels})",
            next="give ours another name in the inventory; or, if it is this cluster's, label it: "
            f"hcloud {self.kind.replace(' ', '-')} add-label {self.object_name} {own_labels}",
        )

    def create(self, body: Mapping[str, object], timeout: float = 120.0) -> Action:
        """The call that creates it, with our labels."""
        request_body = {"name": self.object_name, "labels": cluster_labels(self.cluster), **body}
        return Action(
            f"create {self}", f"POST /{self.collection}", body=request_body, timeout=timeout
        )

    @property
    def path(self) -> str:
        """Its path in the API; the id is filled in when the call is made."""
        return f"/{self.collection}/{{{self.collection}:{self.object_name}}}"

    def action(self, why: str, verb: str, body: Mapping[str, object] | None = None) -> Action:
        """A call of one of the API's actions on it."""
        return Action(why, f"POST {self.path}/actions/{verb}", body=body or {})
