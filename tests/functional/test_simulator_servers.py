"""Servers from creation to deletion, through the unmodified Python client where it can."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hcloud import APIException
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.servers.client import BoundServer

from tests.support.hetzner_simulator import (
    SSH_KEY,
    FakeHypervisor,
    HetznerSimulator,
    serve_simulator,
)

_REQUEST = {"name": "one", "server_type": "ccx13", "image": "debian-12", "location": "nbg1"}


def _create(sim: HetznerSimulator, name: str = "one", **more: Any) -> BoundServer:
    made = sim.client().servers.create(
        name,
        ServerType(name="ccx13"),
        Image(name="debian-12"),
        location=Location(name="nbg1"),
        **more,
    )
    for action in (made.action, *made.next_actions):
        action.wait_until_finished()
    made.server.reload()
    return made.server


def _refused(sim: HetznerSimulator, **change: Any) -> tuple[int, str]:
    answer = sim.call("POST", "/servers", _REQUEST | change)
    return answer.status_code, answer.json()["error"]["code"]


def test_server_when_created_then_running_with_all_the_machine_needs(sim: HetznerSimulator) -> None:
    key = sim.client().ssh_keys.create("k", SSH_KEY)
    server = _create(sim, ssh_keys=[key], user_data="#cloud-config\n", labels={"a": "b"})
    spec = sim.machines.specs[server.id or 0]
    assert (spec.name, spec.image, spec.public_ipv4) == ("one", "debian-12", "192.0.2.10")
    assert (spec.authorized_keys, spec.user_data) == ((SSH_KEY,), "#cloud-config\n")
    assert (server.status, server.labels) == ("running", {"a": "b"})
    assert server.public_net is not None and server.public_net.primary_ipv4 is not None


def test_creation_when_answered_then_initializing_locked_and_lists_what_follows(
    sim: HetznerSimulator,
) -> None:
    sim.machines.pause.clear()
    made = sim.call("POST", "/servers", _REQUEST).json()
    sim.machines.pause.set()
    assert (made["server"]["status"], made["server"]["locked"]) == ("initializing", True)
    assert made["action"]["command"] == "create_server"
    assert [action["command"] for action in made["next_actions"]] == ["start_server"]
    assert made["root_password"]


def test_creation_when_something_is_wrong_then_says_what(sim: HetznerSimulator) -> None:
    _create(sim)
    assert _refused(sim) == (409, "uniqueness_error")
    for change in (
        {"name": "under_score"},
        {"name": "-dash"},
        {"name": "x" * 64},
        {"server_type": "ccx14"},
        {"image": "debian-11"},
        {"location": "mars1"},
        {"datacenter": "nbg1-dc3"},
        {"user_data": "x" * 32769},
        {"labels": {"hetzner.cloud/x": "y"}},
    ):
        assert _refused(sim, **({"name": "two"} | change)) == (422, "invalid_input"), change
    for field, value in (("networks", [1]), ("ssh_keys", ["k"]), ("placement_group", 1)):
        assert _refused(sim, **{"name": "two", field: value}) == (404, "not_found"), field
    assert _refused(sim, name="two", image="ubuntu-24.04") == (422, "unsupported_error")
    assert len(sim.client().servers.get_all()) == 1


def test_creation_when_limits_are_reached_then_says_which(tmp_path: Path) -> None:
    machines = FakeHypervisor(addresses=("192.0.2.1",))
    sold_out = frozenset({("ccx13", "fsn1")})
    with serve_simulator(tmp_path, machines, server_limit=2, sold_out=sold_out) as sim:
        assert _refused(sim, location="fsn1") == (412, "resource_unavailable")
        _create(sim)
        assert _refused(sim, name="two") == (412, "resource_unavailable")
        assert sim.call(
            "POST", "/servers", _REQUEST | {"name": "two", "public_net": {"enable_ipv4": False}}
        ).ok
        assert _refused(sim, name="three") == (403, "resource_limit_exceeded")


def test_creation_when_machine_fails_then_actions_err_with_its_words(sim: HetznerSimulator) -> None:
    sim.machines.broken = {"create"}
    made = sim.call("POST", "/servers", _REQUEST).json()
    first, second = sim.wait_for_actions([made["action"], *made["next_actions"]])
    assert (first["status"], second["status"]) == ("error", "error")
    assert "the test says so" in first["error"]["message"]
    assert sim.client().servers.get_by_id(made["server"]["id"]).status == "off"


def test_servers_when_created_in_parallel_then_each_has_its_own_addresses(
    sim: HetznerSimulator,
) -> None:
    subnet = {"type": "cloud", "network_zone": "eu-central"}
    body = {"name": "n", "ip_range": "10.0.0.0/16", "subnets": [subnet]}
    network = sim.call("POST", "/networks", body).json()["network"]["id"]

    def create(number: int) -> None:
        request = _REQUEST | {"name": f"s{number}", "networks": [network]}
        made = sim.call("POST", "/servers", request).json()
        sim.wait_for_actions([made["action"], *made["next_actions"]])

    with ThreadPoolExecutor() as pool:
        list(pool.map(create, range(8)))
    servers = sim.call("GET", "/servers").json()["servers"]
    assert [server["status"] for server in servers] == ["running"] * 8
    assert len({server["public_net"]["ipv4"]["ip"] for server in servers}) == 8
    assert len({server["private_net"][0]["ip"] for server in servers}) == 8


def test_power_when_switched_then_status_follows_the_machine(sim: HetznerSimulator) -> None:
    server = _create(sim, start_after_create=False)
    assert server.status == "off"
    for switch, status in (
        (server.power_on, "running"),
        (server.reboot, "running"),
        (server.shutdown, "off"),
        (server.reset, "running"),
        (server.power_off, "off"),
    ):
        switch().wait_until_finished()
        server.reload()
        assert server.status == status


def test_status_when_guest_powers_itself_off_then_off(sim: HetznerSimulator) -> None:
    server = _create(sim)
    sim.machines.power.discard(server.id)
    assert [s.status for s in sim.client().servers.get_all()] == ["off"]
    assert sim.call("GET", "/servers?status=running").json()["servers"] == []


def test_placement_group_when_full_or_server_running_then_refused(sim: HetznerSimulator) -> None:
    group = sim.client().placement_groups.create("g", "spread").placement_group
    for number in range(10):
        _create(sim, f"s{number}", placement_group=group, start_after_create=False)
    assert _refused(sim, placement_group=group.id) == (422, "placement_error")
    server = _create(sim, "eleventh")
    roomy = sim.client().placement_groups.create("h", "spread").placement_group
    with pytest.raises(APIException, match="must be off"):
        server.add_to_placement_group(roomy)
    server.power_off().wait_until_finished()
    server.add_to_placement_group(roomy).wait_until_finished()
    roomy.reload()
    assert roomy.servers == [server.id]
    with pytest.raises(APIException, match="still are"):
        roomy.delete()


def test_server_when_protected_then_neither_deleted_nor_rebuilt(sim: HetznerSimulator) -> None:
    server = _create(sim)
    with pytest.raises(APIException, match="rebuild"):
        server.change_protection(delete=True)
    assert server.change_protection(delete=True, rebuild=True).status == "success"
    with pytest.raises(APIException, match="protected"):
        server.delete()
    with pytest.raises(APIException, match="protected"):
        server.rebuild(Image(name="debian-13"))


def test_server_when_rebuilt_then_new_image_same_address_and_firewall_first(
    sim: HetznerSimulator,
) -> None:
    server = _create(sim)
    sim.machines.log.clear()
    server.rebuild(Image(name="debian-13"), user_data="new").action.wait_until_finished()
    assert [call for call, _ in sim.machines.log] == ["power_off", "rebuild", "firewall", "start"]
    spec = sim.machines.specs[server.id or 0]
    assert (spec.image, spec.public_ipv4, spec.user_data) == ("debian-13", "192.0.2.10", "new")


def test_server_when_deleted_then_removed_with_its_addresses(sim: HetznerSimulator) -> None:
    server = _create(sim)
    action = server.delete()
    action.wait_until_finished()
    assert action.command == "delete_server"
    assert sim.client().servers.get_all() == []
    assert sim.client().primary_ips.get_all() == []
    assert sim.machines.specs == {}
    again = sim.call("POST", "/servers", _REQUEST).json()["server"]
    assert again["public_net"]["ipv4"]["ip"] == "192.0.2.10"


def test_primary_ip_when_made_beforehand_then_used_and_preserved(sim: HetznerSimulator) -> None:
    body = {"name": "fixed", "type": "ipv4", "location": "nbg1"}
    address = sim.call("POST", "/primary_ips", body).json()["primary_ip"]
    made = sim.call("POST", "/servers", _REQUEST | {"public_net": {"ipv4": address["id"]}}).json()
    assert made["server"]["public_net"]["ipv4"]["ip"] == address["ip"]
    sim.wait_for_actions([made["action"], *made["next_actions"]])
    path = f"/primary_ips/{address['id']}"
    assert sim.call("DELETE", path).json()["error"]["code"] == "must_be_unassigned"
    sim.wait_for_actions([sim.call("DELETE", f"/servers/{made['server']['id']}").json()["action"]])
    assert sim.call("GET", path).json()["primary_ip"]["assignee_type"] == "unassigned"
    assert sim.call("DELETE", path).status_code == 204


def test_type_when_changed_then_only_while_off_and_never_to_a_smaller_disk(
    sim: HetznerSimulator,
) -> None:
    server = _create(sim)
    with pytest.raises(APIException, match="must be off"):
        server.change_type(ServerType(name="ccx23"), upgrade_disk=False)
    server.power_off().wait_until_finished()
    server.change_type(ServerType(name="ccx23"), upgrade_disk=True).wait_until_finished()
    shown = sim.call("GET", f"/servers/{server.id}").json()["server"]
    assert (shown["server_type"]["name"], shown["primary_disk_size"]) == ("ccx23", 160)
    with pytest.raises(APIException, match="does not fit"):
        server.change_type(ServerType(name="ccx13"), upgrade_disk=False)


def test_server_when_renamed_to_a_taken_name_then_uniqueness_error(sim: HetznerSimulator) -> None:
    _create(sim, "two")
    with pytest.raises(APIException, match="already used"):
        _create(sim).update(name="two")


def test_action_when_of_another_server_then_not_found(sim: HetznerSimulator) -> None:
    one, two = _create(sim), _create(sim, "two")
    action = one.get_actions()[0]
    assert sim.call("GET", f"/servers/{one.id}/actions/{action.id}").status_code == 200
    assert sim.call("GET", f"/servers/{two.id}/actions/{action.id}").status_code == 404
