"""Every answer of the simulator against Hetzner's own description of the API."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from pgprovision.lab.cloud.app import api_paths
from tests.support.hetzner_openapi import ResponseValidator, spec_path
from tests.support.hetzner_simulator import SSH_KEY, HetznerSimulator

_SUBNET = {"type": "cloud", "ip_range": "10.0.1.0/24", "network_zone": "eu-central"}
_RULE = {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["0.0.0.0/0"]}
_ABSENT = 999_999


@dataclass
class Judged:
    """Calls the simulator, keeps every problem and every (method, path) that was called."""

    sim: HetznerSimulator
    judge: ResponseValidator
    problems: list[str] = field(default_factory=list)
    called: set[tuple[str, str]] = field(default_factory=set)

    def __call__(self, method: str, path: str, json: Any = None, status: int = 0) -> Any:
        answer = self.sim.call(method, path, json)
        bare = path.partition("?")[0]
        body = answer.json() if answer.content else None
        self.called.add((method, bare))
        self.problems += self.judge.problems(method, bare, answer.status_code, body)
        if status and answer.status_code != status:
            self.problems.append(f"{method} {path}: {answer.status_code}, wanted {status}")
        if method in ("POST", "PUT", "DELETE") and answer.ok and body:
            begun = [body.get("action"), *body.get("actions", []), *body.get("next_actions", [])]
            self.sim.wait_for_actions([action for action in begun if action])
        return body or {}


@pytest.fixture
def api(sim: HetznerSimulator) -> Iterator[Judged]:
    path = spec_path()
    if path is None:
        pytest.skip("no API description: set PGPROVISION_HCLOUD_SPEC to hcloud-openapi.json")
    judged = Judged(sim, ResponseValidator(path))
    yield judged
    assert judged.problems == []


def _server(api: Judged, name: str, **more: Any) -> int:
    request = {"name": name, "server_type": "ccx13", "image": "debian-12", "location": "nbg1"}
    return int(api("POST", "/servers", request | more, 201)["server"]["id"])


def _read_everything(api: Judged) -> None:
    """Every GET route, with the id of something that is there where there is something."""
    found: dict[str, int] = {}
    for path in sorted(p for p, methods in api_paths().items() if "GET" in methods):
        plural = path.split("/")[1]
        if "{" not in path and plural not in ("actions", "pricing", "datacenters"):
            listed = api("GET", path, status=200)[path.split("/")[-1]]
            found[path] = listed[0]["id"] if listed else _ABSENT
    for path in sorted(p for p, methods in api_paths().items() if "GET" in methods):
        plural = f"/{path.split('/')[1]}"
        ident = found.get(plural, _ABSENT)
        actions = found.get(f"{plural}/actions", _ABSENT)
        if "{id:int}/actions/{action_id" in path:
            listed = api("GET", f"{plural}/{ident}/actions")["actions"]
            actions = listed[0]["id"] if listed else _ABSENT
        api("GET", path.replace("{id:int}", str(ident)).replace("{action_id:int}", str(actions)))


def test_answers_when_everything_is_called_then_match_the_description(api: Judged) -> None:
    key = api("POST", "/ssh_keys", {"name": "k", "public_key": SSH_KEY}, 201)["ssh_key"]["id"]
    group = api("POST", "/placement_groups", {"name": "g", "type": "spread"}, 201)
    group_id = group["placement_group"]["id"]
    network = {"name": "n", "ip_range": "10.0.0.0/16", "subnets": [_SUBNET], "labels": {"a": "b"}}
    net = api("POST", "/networks", network, 201)["network"]["id"]
    wall = api("POST", "/firewalls", {"name": "f", "rules": [_RULE]}, 201)["firewall"]["id"]
    address = {"name": "ip", "type": "ipv4", "location": "nbg1"}
    spare = api("POST", "/primary_ips", address, 201)["primary_ip"]["id"]
    one = _server(
        api,
        "one",
        ssh_keys=[key],
        networks=[net],
        firewalls=[{"firewall": wall}],
        placement_group=group_id,
        labels={"cluster": "x"},
    )
    two = _server(api, "two", start_after_create=False, public_net={"enable_ipv6": False})
    _read_everything(api)
    _use_server(api, one, net, group_id)
    _use_network(api, net)
    _use_firewall(api, wall, two)
    for path in (f"/ssh_keys/{key}", f"/placement_groups/{group_id}", f"/networks/{net}"):
        api("PUT", path, {"labels": {"new": "label"}}, 200)
    for path in (f"/firewalls/{wall}", f"/primary_ips/{spare}", f"/servers/{two}"):
        api("PUT", path, {"name": "renamed", "labels": {}}, 200)
    api("POST", f"/primary_ips/{spare}/actions/change_protection", {"delete": True}, 201)
    api("DELETE", f"/primary_ips/{spare}", status=423)
    api("POST", f"/primary_ips/{spare}/actions/change_protection", {"delete": False}, 201)
    for server in (one, two):
        api("DELETE", f"/servers/{server}", status=200)
    for path in (f"/primary_ips/{spare}", f"/firewalls/{wall}", f"/networks/{net}"):
        api("DELETE", path, status=204)
    for path in (f"/ssh_keys/{key}", f"/placement_groups/{group_id}"):
        api("DELETE", path, status=204)
    _unsupported(api)
    assert _not_called(api) == []


def _use_server(api: Judged, server: int, net: int, group: int) -> None:
    act = f"/servers/{server}/actions/"
    for verb in ("reboot", "reset", "shutdown", "poweron", "poweroff"):
        api("POST", act + verb, {}, 201)
    api("POST", act + "remove_from_placement_group", {}, 201)
    api("POST", act + "add_to_placement_group", {"placement_group": group}, 201)
    api("POST", act + "detach_from_network", {"network": net}, 201)
    api("POST", act + "attach_to_network", {"network": net, "ip": "10.0.1.9"}, 201)
    api("POST", act + "change_alias_ips", {"network": net, "alias_ips": ["10.0.1.10"]}, 201)
    api("POST", act + "change_type", {"server_type": "ccx23", "upgrade_disk": False}, 201)
    api("POST", act + "rebuild", {"image": "debian-13"}, 201)
    api("POST", act + "change_protection", {"delete": True, "rebuild": True}, 201)
    api("DELETE", f"/servers/{server}", status=423)
    api("POST", act + "change_protection", {"delete": False, "rebuild": False}, 201)


def _use_network(api: Judged, net: int) -> None:
    act = f"/networks/{net}/actions/"
    subnet = {"type": "cloud", "network_zone": "eu-central", "ip_range": "10.0.2.0/24"}
    route = {"destination": "10.100.1.0/24", "gateway": "10.0.1.9"}
    api("POST", act + "add_subnet", subnet, 201)
    api("POST", act + "delete_subnet", {"ip_range": "10.0.2.0/24"}, 201)
    api("POST", act + "add_route", route, 201)
    api("GET", f"/networks/{net}", status=200)
    api("POST", act + "delete_route", route, 201)
    api("POST", act + "change_ip_range", {"ip_range": "10.0.0.0/12"}, 201)
    api("POST", act + "change_protection", {"delete": False}, 201)


def _use_firewall(api: Judged, wall: int, server: int) -> None:
    act = f"/firewalls/{wall}/actions/"
    target = {"type": "server", "server": {"id": server}}
    selector = {"type": "label_selector", "label_selector": {"selector": "cluster=x"}}
    api("POST", act + "set_rules", {"rules": []}, 201)
    api("POST", act + "apply_to_resources", {"apply_to": [target, selector]}, 201)
    api("GET", f"/firewalls/{wall}", status=200)
    api("DELETE", f"/firewalls/{wall}", status=422)
    api("POST", act + "remove_from_resources", {"remove_from": [target, selector]}, 201)


def _unsupported(api: Judged) -> None:
    """What the lab refuses is refused with an envelope, too."""
    for path, methods in api_paths().items():
        concrete = re.sub(r"\{\w+:int\}", str(_ABSENT), path)
        for method in methods:
            if not _was_called(api, method, path):
                api(method, concrete, {})
    for name in ("volumes", "load_balancers"):
        api("POST", f"/{name}", {}, 422)


def _was_called(api: Judged, method: str, path: str) -> bool:
    pattern = re.compile(re.sub(r"\{\w+:int\}", r"\\d+", path))
    return any(m == method and pattern.fullmatch(called) for m, called in api.called)


def _not_called(api: Judged) -> list[tuple[str, str]]:
    return [
        (method, path)
        for path, methods in api_paths().items()
        for method in methods
        if not _was_called(api, method, path)
    ]


def test_answers_when_wrongly_requested_then_match_the_description(api: Judged) -> None:
    api("GET", f"/servers/{_ABSENT}", status=404)
    api("GET", "/servers?sort=colour", status=422)
    api("GET", "/servers?page=0", status=422)
    api("GET", "/servers?label_selector=a%20b", status=422)
    api("POST", "/servers", {"name": "no_underscores"}, 422)
    api("GET", "/actions", status=410)
    _server(api, "one")
    request = {"name": "one", "server_type": "ccx13", "image": "debian-12"}
    api("POST", "/servers", request, 409)
