"""The cloud half of a cluster against the API's simulator: made, found equal, repaired."""

from base64 import b64encode
from pathlib import Path

import pytest

from pgprovision.engine.loop import observe_only
from pgprovision.engine.model import Action
from pgprovision.errors import Refused
from pgprovision.tasks.cloud import server_tiers
from tests.support.cloud_cluster import (
    ActionRecorder,
    allow_restart,
    call_and_wait,
    cloud_inventory,
    hetzner_tiers,
    list_objects,
    only_object,
    remaining_keys,
    run_loop,
)
from tests.support.hetzner_simulator import SSH_KEY, HetznerSimulator

KINDS = ("networks", "placement_groups", "firewalls", "ssh_keys", "servers")


class Killed(BaseException):
    """The controller dies."""


def writes(sim: HetznerSimulator) -> int:
    count: int = sim.control("GET", "/requests")["writes"]
    return count


@pytest.mark.covers("row:A2", "row:A4", "row:A6")
def test_cloud_from_nothing_is_made_whole(sim: HetznerSimulator, tmp_path: Path) -> None:
    report = run_loop(sim, hetzner_tiers(tmp_path, nodes=2))
    assert report.remaining == []
    first, second = list_objects(sim, "servers")
    assert first["status"] == second["status"] == "running"
    assert first["labels"] == {"managed-by": "pgprovision", "cluster": "lab", "node": "db-1"}
    assert first["protection"] == {"delete": True, "rebuild": True}
    assert first["private_net"][0]["ip"] == "10.0.1.11"
    assert second["private_net"][0]["ip"] == "10.0.1.12"
    assert set(only_object(sim, "placement_groups")["servers"]) == {first["id"], second["id"]}
    machine = sim.machines.specs[first["id"]]
    assert machine.authorized_keys == (SSH_KEY,)
    assert "ssh_deletekeys: true" in machine.user_data
    pinned = (tmp_path / "known_hosts").read_text().splitlines()[0].split()
    assert pinned[0] == "db-1"
    assert f"ecdsa_public: {pinned[1]} {pinned[2]}" in machine.user_data


def test_server_when_started_has_its_firewall_and_private_card(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    run_loop(sim, hetzner_tiers(tmp_path))
    machine = only_object(sim, "servers")["id"]
    calls = [call for call, ident in sim.machines.log if ident == machine]
    assert calls == ["create", "firewall", "start"]
    assert [seat.ip for seat in sim.machines.interfaces[machine].values()] == ["10.0.1.11"]


def test_second_run_is_five_reads_and_no_write(sim: HetznerSimulator, tmp_path: Path) -> None:
    run_loop(sim, hetzner_tiers(tmp_path))
    before = writes(sim)
    report = run_loop(sim, hetzner_tiers(tmp_path))
    assert (report.changed, report.remaining, report.api_calls) == ([], [], 5)
    assert writes(sim) == before


def test_plan_changes_nothing(sim: HetznerSimulator, tmp_path: Path) -> None:
    report = run_loop(sim, hetzner_tiers(tmp_path), observe_only)
    assert len(report.remaining) == 6
    assert writes(sim) == 0
    assert not (tmp_path / "host_keys").exists()


def test_more_than_a_page_of_foreign_objects_is_no_obstacle(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    for number in range(51):
        blob = b"\0\0\0\x0bssh-ed25519\0\0\0 " + bytes([number]) * 32
        key = {"name": f"key-{number}", "public_key": f"ssh-ed25519 {b64encode(blob).decode()}"}
        call_and_wait(sim, "POST", "/ssh_keys", key)
    run_loop(sim, hetzner_tiers(tmp_path))
    assert run_loop(sim, hetzner_tiers(tmp_path), observe_only).remaining == []


@pytest.mark.parametrize("last", range(9))
def test_run_killed_after_any_action_is_finished_by_the_next(
    sim: HetznerSimulator, tmp_path: Path, last: int
) -> None:
    reasons: list[str] = []

    def stop(action: Action) -> None:
        reasons.append(action.why)
        if len(reasons) > last:
            raise Killed

    with pytest.raises(Killed):
        run_loop(sim, hetzner_tiers(tmp_path), watcher=ActionRecorder(stop))
    assert run_loop(sim, hetzner_tiers(tmp_path)).remaining == []
    assert [len(list_objects(sim, kind)) for kind in KINDS] == [1, 1, 1, 1, 1]
    assert only_object(sim, "servers")["private_net"][0]["ip"] == "10.0.1.11"


@pytest.mark.covers("row:A4")
def test_key_registered_by_someone_else_is_used_as_it_is(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    call_and_wait(sim, "POST", "/ssh_keys", {"name": "laptop", "public_key": SSH_KEY})
    run_loop(sim, hetzner_tiers(tmp_path))
    assert only_object(sim, "ssh_keys")["name"] == "laptop"
    assert sim.machines.specs[only_object(sim, "servers")["id"]].authorized_keys == (SSH_KEY,)


@pytest.mark.covers("F35")
def test_foreign_server_is_refused_and_nothing_is_made(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    foreign = {"name": "db-1", "server_type": "ccx13", "image": "debian-12", "location": "ash"}
    call_and_wait(sim, "POST", "/servers", foreign)
    before, requests = only_object(sim, "servers"), writes(sim)
    with pytest.raises(Refused, match="not ours"):
        run_loop(sim, hetzner_tiers(tmp_path))
    assert only_object(sim, "servers") == before
    assert writes(sim) == requests


@pytest.mark.covers("F47")
def test_firewall_opened_by_hand_is_named_and_closed(sim: HetznerSimulator, tmp_path: Path) -> None:
    run_loop(sim, hetzner_tiers(tmp_path))
    wall = only_object(sim, "firewalls")
    postgres = {
        "direction": "in",
        "protocol": "tcp",
        "port": "5432",
        "source_ips": ["0.0.0.0/0"],
    }
    rules = {"rules": [*wall["rules"], postgres]}
    call_and_wait(sim, "POST", f"/firewalls/{wall['id']}/actions/set_rules", rules)
    assert remaining_keys(run_loop(sim, hetzner_tiers(tmp_path), observe_only)) == {
        "firewall ssh-only": ("rules",)
    }
    assert run_loop(sim, hetzner_tiers(tmp_path)).remaining == []
    rules_now = sim.machines.rules[only_object(sim, "servers")["id"]]
    assert rules_now is not None
    assert {rule.port for rule in rules_now if rule.direction == "in"} == {"22"}


@pytest.mark.covers("F47")
def test_firewall_detached_by_hand_is_put_back(sim: HetznerSimulator, tmp_path: Path) -> None:
    run_loop(sim, hetzner_tiers(tmp_path))
    wall, server = only_object(sim, "firewalls"), only_object(sim, "servers")
    target = {"type": "server", "server": {"id": server["id"]}}
    path = f"/firewalls/{wall['id']}/actions/remove_from_resources"
    call_and_wait(sim, "POST", path, {"remove_from": [target]})
    assert sim.machines.rules[server["id"]] is None
    assert remaining_keys(run_loop(sim, hetzner_tiers(tmp_path), observe_only)) == {
        "server db-1": ("firewall",)
    }
    assert run_loop(sim, hetzner_tiers(tmp_path)).remaining == []
    assert sim.machines.rules[server["id"]] is not None


@pytest.mark.parametrize(
    ("verb", "body", "key"),
    [
        ("poweroff", {}, "power"),
        ("change_protection", {"delete": False, "rebuild": False}, "protection"),
    ],
)
def test_server_changed_by_hand_is_named_and_repaired(
    sim: HetznerSimulator, tmp_path: Path, verb: str, body: dict[str, bool], key: str
) -> None:
    run_loop(sim, hetzner_tiers(tmp_path))
    call_and_wait(sim, "POST", f"/servers/{only_object(sim, 'servers')['id']}/actions/{verb}", body)
    assert remaining_keys(run_loop(sim, hetzner_tiers(tmp_path), observe_only)) == {
        "server db-1": (key,)
    }
    assert run_loop(sim, hetzner_tiers(tmp_path)).remaining == []


def test_server_detached_by_hand_gets_its_address_back(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    run_loop(sim, hetzner_tiers(tmp_path))
    server, network = only_object(sim, "servers"), only_object(sim, "networks")
    path = f"/servers/{server['id']}/actions/detach_from_network"
    call_and_wait(sim, "POST", path, {"network": network["id"]})
    assert remaining_keys(run_loop(sim, hetzner_tiers(tmp_path), observe_only)) == {
        "server db-1": ("private_ip",)
    }
    assert run_loop(sim, hetzner_tiers(tmp_path), allow_restart).remaining == []


@pytest.mark.covers("row:A2")
def test_server_taken_out_of_its_group_goes_back_through_a_shutdown(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    run_loop(sim, hetzner_tiers(tmp_path))
    path = f"/servers/{only_object(sim, 'servers')['id']}/actions/remove_from_placement_group"
    call_and_wait(sim, "POST", path)
    report = run_loop(sim, hetzner_tiers(tmp_path))
    assert report.remaining == []
    assert only_object(sim, "servers")["placement_group"]["name"] == "group"
    assert only_object(sim, "servers")["status"] == "running"
    power = [call for call, _ in sim.machines.log if call != "firewall"]
    assert power == ["create", "start", "shutdown", "start"]


@pytest.mark.covers("S40")
def test_firewall_rules_of_the_inventory_are_set_and_one_more_by_api_is_named(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    ping = {"protocol": "icmp", "source_ips": ["0.0.0.0/0", "::/0"], "purpose": "ping"}
    metrics = {"port": 9100, "source_ips": ["198.51.100.7/32"], "purpose": "node exporter"}
    firewall = {"name": "wall", "ssh_source_ips": ["192.0.2.0/24"], "rules": [ping, metrics]}
    inventory = cloud_inventory(tmp_path, sim, nodes=1, firewall=firewall)
    tiers = server_tiers(inventory, inventory.nodes)
    assert run_loop(sim, tiers).remaining == []
    wall = only_object(sim, "firewalls")
    rules = [(r["protocol"], r["port"], r["source_ips"], r["description"]) for r in wall["rules"]]
    assert rules == [
        ("tcp", "22", ["192.0.2.0/24"], "SSH"),
        ("icmp", None, ["0.0.0.0/0", "::/0"], "ping"),
        ("tcp", "9100", ["198.51.100.7/32"], "node exporter"),
    ]
    extra = {"direction": "in", "protocol": "udp", "port": "53", "source_ips": ["0.0.0.0/0"]}
    path = f"/firewalls/{wall['id']}/actions/set_rules"
    call_and_wait(sim, "POST", path, {"rules": [*wall["rules"], extra]})
    (change,) = run_loop(sim, tiers, observe_only).remaining
    assert change.keys == ("rules",)
    before, after = (change.diff.before or {})["rules"], (change.diff.after or {})["rules"]
    assert isinstance(before, tuple) and isinstance(after, tuple)
    assert set(before) - set(after) == {"in udp 53 from 0.0.0.0/0"}
    assert run_loop(sim, tiers).remaining == []
