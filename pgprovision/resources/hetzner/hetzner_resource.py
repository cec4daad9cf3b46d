"""What all things at Hetzner share: our labels, and the rule that strangers are refused.

What carries our labels is ours. An object of the same name without them is never adopted, changed
or deleted.
"""

from abc import ABC
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import ClassVar

from pgprovision.engine.model import Answer, Ask, Do, Resource
from pgprovision.errors import Refused
from pgprovision.hetzner_labels import Item, is_ours, labels

__all__ = ["HETZNER", "CloudObject", "Item", "address_of", "is_ours", "labels"]

HETZNER = "hetzner"  # the target's name


def address_of(servers: Iterable[Item], cluster: str, node: str) -> str | None:
    """The public address of a node's server, IPv6 where it has no IPv4 (any more); None while
    there is none. Of the /64 that Hetzner gives, a server has the first address."""
    for server in servers:
        if server["name"] == node and is_ours(server, cluster):
            public = server["public_net"]
            if ipv4 := public.get("ipv4"):
                return str(ipv4["ip"])
            if ipv6 := public.get("ipv6"):
                return str(ip_network(ipv6["ip"])[1])
    return None


def _words(worn: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in worn.items())


@dataclass(frozen=True, kw_only=True)
class CloudObject(Resource, ABC):
    """Something in a Hetzner project, called by a name that is unique there."""

    collection: ClassVar[str]  # the API's word for many of its kind
    on: str = HETZNER
    cluster: str
    called: str

    @property
    def name(self) -> str:
        return self.called

    def probe(self) -> Ask:
        return Ask(self.collection)

    def find(self, answer: Answer, *, foreign: bool = False) -> Item | None:
        """The object of this name. Raises Refused where it is a stranger's, unless `foreign`."""
        item = next((i for i in answer.items if i["name"] == self.called), None)
        if item is None or foreign or is_ours(item, self.cluster):
            return item
        wanted = _words(labels(self.cluster))
        raise Refused(
            f"the project has a {self.kind} of this name that is not ours "
            f"(id {item['id']}; its labels: {_words(item.get('labels') or {}) or 'none'}; "
            f"ours: {wanted})",
            done="it was not touched",
            next="give ours another name in the inventory; or, if it is this cluster's, label it: "
            f"hcloud {self.kind.replace(' ', '-')} add-label {self.called} {wanted}",
        )

    def create(self, body: Mapping[str, object], timeout: float = 120.0) -> Do:
        """The call that makes it, with our labels."""
        whole = {"name": self.called, "labels": labels(self.cluster), **body}
        return Do(f"create {self}", f"POST /{self.collection}", body=whole, timeout=timeout)

    @property
    def path(self) -> str:
        """Its own path; the id is put in when the call is made."""
        return f"/{self.collection}/{{{self.collection}:{self.called}}}"

    def action(self, why: str, verb: str, body: Mapping[str, object] | None = None) -> Do:
        """One of the API's actions on it."""
        return Do(why, f"POST {self.path}/actions/{verb}", body=body or {})
