"""Cases of things at Hetzner: a wish, what a look shows, what follows. One file, one case.

What a case leaves out of a wish or of an API object is filled in from BASE.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgprovision.engine.model import (
    Action,
    Answer,
    Change,
    Diff,
    Impact,
    Probe,
    Ref,
    Resource,
    Waiting,
)
from pgprovision.errors import Refused
from pgprovision.resources.hetzner.deleted_resource import DeletedResource
from pgprovision.resources.hetzner.firewall import Firewall, ssh_rule
from pgprovision.resources.hetzner.network import HetznerNetwork
from pgprovision.resources.hetzner.placement_group import PlacementGroup
from pgprovision.resources.hetzner.server import Server
from pgprovision.resources.hetzner.ssh_key import SshKey, fingerprint
from tests.support.covers import cases

CASES = sorted((Path(__file__).parents[1] / "cases" / "cloud").glob("*.yaml"))
OURS = {"managed-by": "pgprovision", "cluster": "lab"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVsT2MDFjFz1GsGZ8c1p1xFzGz3b8c0n1q5yqkq7n1v me"
SUBNET = {"type": "cloud", "ip_range": "10.0.1.0/24", "network_zone": "us-east"}
BASE: dict[str, dict[str, Any]] = {
    "networks": {
        "id": 1,
        "name": "net",
        "labels": OURS,
        "ip_range": "10.0.0.0/16",
        "subnets": [SUBNET],
    },
    "placement_groups": {"id": 2, "name": "group", "labels": OURS, "type": "spread"},
    "firewalls": {"id": 3, "name": "ssh-only", "labels": OURS},
    "ssh_keys": {"id": 4, "name": "me", "labels": OURS, "fingerprint": fingerprint(KEY)},
    "servers": {
        "id": 5,
        "name": "db-1",
        "labels": {**OURS, "node": "db-1"},
        "status": "running",
        "server_type": {"name": "ccx13"},
        "location": {"name": "ash"},
        "private_net": [{"network": 1, "ip": "10.0.1.11"}],
        "placement_group": {"id": 2, "name": "group"},
        "public_net": {"firewalls": [{"id": 3, "status": "applied"}]},
        "protection": {"delete": True, "rebuild": True},
    },
}
WISHES: dict[str, tuple[Callable[..., Resource], dict[str, Any]]] = {
    "Network": (
        HetznerNetwork,
        {
            "called": "net",
            "ip_range": "10.0.0.0/16",
            "subnet": "10.0.1.0/24",
            "zone": "us-east",
        },
    ),
    "PlacementGroup": (PlacementGroup, {"called": "group", "size": 2}),
    "Firewall": (
        Firewall,
        {"called": "ssh-only", "rules": (ssh_rule(["192.0.2.0/24", "2001:db8::/32"]),)},
    ),
    "SshKey": (SshKey, {"called": "me", "public_key": KEY}),
    "Server": (
        Server,
        {
            "called": "db-1",
            "server_type": "ccx13",
            "image": "debian-12",
            "location": "ash",
            "network": "net",
            "private_ip": "10.0.1.11",
            "placement_group": "group",
            "firewall": "ssh-only",
            "ssh_keys": ("ab:cd",),
        },
    ),
    "Removal": (DeletedResource, {}),
}


class Project(dict[str, list[dict[str, Any]]]):
    """A look at a project."""

    def get(self, on: str, ask: Probe) -> Answer | None:  # type: ignore[override]
        return Answer(items=tuple({**BASE[ask.text], **item} for item in self[ask.text]))

    def __missing__(self, kind: str) -> list[dict[str, Any]]:
        return [{}]


def wish(case: Mapping[str, Any], facts: Project) -> Resource:
    kind, fields = WISHES[case["resource"]]
    return kind(cluster="lab", **{**fields, **case.get("wish", {})}).resolved(facts)


def plain(value: object) -> object:
    """A body as a case writes it."""
    match value:
        case Ref(kind, name):
            return f"id of {kind}/{name}"
        case Mapping():
            return {key: plain(part) for key, part in value.items()}
        case list() | tuple():
            return [plain(part) for part in value]
    return value


def written(action: Action) -> dict[str, object]:
    return {action.text: plain(action.body)}


@pytest.mark.parametrize("file", cases(CASES))
def test_cloud_case(file: Path) -> None:
    case = yaml.safe_load(file.read_text())
    facts = Project(case["look"])
    resource = wish(case, facts)
    answer = facts.get(resource.on, resource.probe())
    assert answer
    if refusal := case.get("refused"):
        with pytest.raises(Refused) as caught:
            resource.read(answer)
        assert refusal in caught.value.what
        assert caught.value.next
        return
    before = resource.read(answer)
    if isinstance(before, Waiting):
        assert case["waiting"] == before.reason
        return
    diff = Diff(before, resource.desired())
    actions = tuple(resource.change(diff)) if diff else ()
    assert list(resource.describe_changes(diff)) == case["differs"]
    assert [written(action) for action in actions] == case.get("actions", [])
    assert Change(resource, diff, actions).impact == Impact[case.get("impact", "NONE")]
