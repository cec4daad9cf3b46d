"""Firewalls: what the machines of servers enforce."""

from typing import Any

from pgprovision.lab.hypervisor import LabFirewallRule
from tests.support.hetzner_simulator import HetznerSimulator

_SSH = {"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["0.0.0.0/0"]}
_PING = {"direction": "in", "protocol": "icmp", "source_ips": ["10.1.0.0/16"]}
_SSH_RULE = LabFirewallRule("in", "tcp", "22", ("0.0.0.0/0",))
_PING_RULE = LabFirewallRule("in", "icmp", None, ("10.1.0.0/16",))


def _firewall(sim: HetznerSimulator, *rules: dict[str, Any], **more: Any) -> int:
    body = {"name": f"f{len(rules)}", "rules": list(rules)} | more
    answer = sim.call("POST", "/firewalls", body).json()
    sim.wait_for_actions(answer["actions"])
    return int(answer["firewall"]["id"])


def _server(sim: HetznerSimulator, **more: Any) -> int:
    body = {"name": "one", "server_type": "ccx13", "image": "debian-12", "location": "nbg1"}
    answer = sim.call("POST", "/servers", body | more).json()
    sim.wait_for_actions([answer["action"], *answer["next_actions"]])
    return int(answer["server"]["id"])


def _act(sim: HetznerSimulator, firewall: int, verb: str, body: dict[str, Any]) -> str:
    answer = sim.call("POST", f"/firewalls/{firewall}/actions/{verb}", body)
    if not answer.ok:
        return str(answer.json()["error"]["code"])
    return ",".join(a["command"] for a in sim.wait_for_actions(answer.json()["actions"]))


def test_server_when_created_with_firewall_then_enforced_before_first_start(
    sim: HetznerSimulator,
) -> None:
    server = _server(sim, firewalls=[{"firewall": _firewall(sim, _SSH)}])
    assert sim.machines.log == [("create", server), ("firewall", server), ("start", server)]
    assert sim.machines.rules[server] == (_SSH_RULE,)


def test_server_when_no_firewall_then_none_at_all(sim: HetznerSimulator) -> None:
    assert sim.machines.rules[_server(sim)] is None


def test_firewall_when_without_rules_then_machine_gets_an_empty_list(sim: HetznerSimulator) -> None:
    assert sim.machines.rules[_server(sim, firewalls=[{"firewall": _firewall(sim)}])] == ()


def test_server_when_several_firewalls_then_union_also_by_selector(sim: HetznerSimulator) -> None:
    selector = {"type": "label_selector", "label_selector": {"selector": "role in (db,dbs)"}}
    _firewall(sim, _PING, _SSH, apply_to=[selector])
    direct = _firewall(sim, _SSH)
    server = _server(sim, labels={"role": "db"}, firewalls=[{"firewall": direct}])
    assert set(sim.machines.rules[server] or ()) == {_PING_RULE, _SSH_RULE}


def test_server_when_relabelled_then_selectors_follow(sim: HetznerSimulator) -> None:
    selector = {"type": "label_selector", "label_selector": {"selector": "role=db"}}
    _firewall(sim, _SSH, apply_to=[selector])
    server = _server(sim)
    for labels, rules in (({"role": "db"}, (_SSH_RULE,)), ({}, None)):
        sim.call("PUT", f"/servers/{server}", {"labels": labels})
        sim.wait_for_actions(sim.call("GET", f"/servers/{server}/actions").json()["actions"])
        assert sim.machines.rules[server] == rules


def test_rules_when_set_then_applied_on_every_server(sim: HetznerSimulator) -> None:
    firewall = _firewall(sim, _SSH)
    server = _server(sim, firewalls=[{"firewall": firewall}])
    done = _act(sim, firewall, "set_rules", {"rules": [_PING]})
    assert done == "set_firewall_rules,apply_firewall"
    assert sim.machines.rules[server] == (_PING_RULE,)


def test_rules_when_malformed_then_invalid_input(sim: HetznerSimulator) -> None:
    firewall = _firewall(sim)
    changes: tuple[dict[str, Any], ...] = (
        {"port": None},
        {"port": "0"},
        {"port": "90-80"},
        {"port": "any"},
        {"source_ips": []},
        {"source_ips": ["10.0.0.1/8"]},
        {"source_ips": ["10.0.0.1"]},
        {"destination_ips": ["10.0.0.0/8"]},
        {"protocol": "icmp"},
        {"direction": "sideways"},
    )
    for change in changes:
        body = {"rules": [_SSH | change]}
        assert _act(sim, firewall, "set_rules", body) == "invalid_input", change


def test_firewall_when_applied_twice_or_removed_from_nowhere_then_refused(
    sim: HetznerSimulator,
) -> None:
    firewall, server = _firewall(sim, _SSH), _server(sim)
    target = [{"type": "server", "server": {"id": server}}]
    assert _act(sim, firewall, "apply_to_resources", {"apply_to": target}) == "apply_firewall"
    assert _act(sim, firewall, "apply_to_resources", {"apply_to": target}) == (
        "firewall_already_applied"
    )
    assert sim.call("DELETE", f"/firewalls/{firewall}").json()["error"]["code"] == (
        "resource_in_use"
    )
    assert _act(sim, firewall, "remove_from_resources", {"remove_from": target}) == (
        "remove_firewall"
    )
    assert sim.machines.rules[server] is None
    assert _act(sim, firewall, "remove_from_resources", {"remove_from": target}) == (
        "firewall_resource_not_found"
    )


def test_firewall_when_its_server_is_deleted_then_it_can_be_deleted(sim: HetznerSimulator) -> None:
    firewall = _firewall(sim, _SSH)
    server = _server(sim, firewalls=[{"firewall": firewall}])
    sim.wait_for_actions([sim.call("DELETE", f"/servers/{server}").json()["action"]])
    assert sim.call("DELETE", f"/firewalls/{firewall}").status_code == 204
