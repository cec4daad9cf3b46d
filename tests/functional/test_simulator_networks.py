"""Networks, subnets, seats and members."""

from typing import Any

from hcloud.networks import NetworkSubnet

from tests.support.hetzner_simulator import HetznerSimulator


def _server(sim: HetznerSimulator, name: str = "one", start: bool = False) -> int:
    body = {"name": name, "server_type": "ccx13", "image": "debian-12", "location": "nbg1"}
    answer = sim.call("POST", "/servers", body | {"start_after_create": start}).json()
    sim.wait_for_actions([answer["action"], *answer["next_actions"]])
    return int(answer["server"]["id"])


def _shown(sim: HetznerSimulator, server: int) -> dict[str, Any]:
    return dict(sim.call("GET", f"/servers/{server}").json()["server"])


def _network(
    sim: HetznerSimulator,
    ip_range: str = "10.0.0.0/16",
    subnet: str = "10.0.1.0/24",
    name: str = "n",
) -> int:
    one = NetworkSubnet(ip_range=subnet, type="cloud", network_zone="eu-central")
    return int(sim.client().networks.create(name, ip_range, subnets=[one]).id or 0)


def _act(sim: HetznerSimulator, server: int, verb: str, **body: Any) -> str:
    """The error's code, or how the action ended."""
    answer = sim.call("POST", f"/servers/{server}/actions/{verb}", body)
    if not answer.ok:
        return str(answer.json()["error"]["code"])
    return str(sim.wait_for_actions([answer.json()["action"]])[0]["status"])


def test_attach_when_off_then_card_is_there_at_start(sim: HetznerSimulator) -> None:
    server, network = _server(sim), _network(sim)
    assert _act(sim, server, "attach_to_network", network=network, ip="10.0.1.5") == "success"
    assert ("attach", server) not in sim.machines.log
    assert _act(sim, server, "poweron") == "success"
    seat = sim.machines.interfaces[server][network]
    assert (seat.ip, seat.gateway, seat.network_range) == ("10.0.1.5", "10.0.0.1", "10.0.0.0/16")
    assert [net["mac_address"] for net in _shown(sim, server)["private_net"]] == [seat.mac]


def test_attach_when_running_then_card_comes_and_goes(sim: HetznerSimulator) -> None:
    server, network = _server(sim, start=True), _network(sim)
    assert _act(sim, server, "attach_to_network", network=network) == "success"
    assert _act(sim, server, "change_alias_ips", network=network, alias_ips=["10.0.1.9"]) == (
        "success"
    )
    assert sim.machines.interfaces[server][network].alias_ips == ("10.0.1.9",)
    assert _act(sim, server, "detach_from_network", network=network) == "success"
    assert sim.machines.interfaces[server] == {}
    assert _shown(sim, server)["private_net"] == []


def test_attach_when_address_cannot_be_had_then_says_why(sim: HetznerSimulator) -> None:
    server, network = _server(sim), _network(sim, subnet="10.0.0.0/24")
    for ip in ("10.0.0.1", "10.0.0.0", "10.0.0.255", "10.0.7.7", "192.168.0.4"):
        assert _act(sim, server, "attach_to_network", network=network, ip=ip) == "ip_not_available"
    _act(sim, _server(sim, "two"), "attach_to_network", network=network, ip="10.0.0.5")
    assert _act(sim, server, "attach_to_network", network=network, ip="10.0.0.5") == (
        "ip_not_available"
    )
    assert _act(sim, server, "attach_to_network", network=network) == "success"
    assert _act(sim, server, "attach_to_network", network=network) == "server_already_attached"


def test_attach_when_no_subnet_then_no_subnet_available(sim: HetznerSimulator) -> None:
    network = sim.client().networks.create("empty", "10.0.0.0/16").id
    assert _act(sim, _server(sim), "attach_to_network", network=network) == "no_subnet_available"


def test_attach_when_two_networks_overlap_then_refused(sim: HetznerSimulator) -> None:
    server = _server(sim)
    _act(sim, server, "attach_to_network", network=_network(sim))
    other = _network(sim, name="other")
    assert _act(sim, server, "attach_to_network", network=other) == "networks_overlap"


def test_reset_when_off_then_starts_with_the_cards_of_now(sim: HetznerSimulator) -> None:
    server, network = _server(sim, start=True), _network(sim)
    _act(sim, server, "poweroff")
    _act(sim, server, "attach_to_network", network=network)
    assert _act(sim, server, "reset") == "success"
    assert list(sim.machines.interfaces[server]) == [network]


def test_attach_when_network_is_busy_then_conflict(sim: HetznerSimulator) -> None:
    one, two, network = _server(sim, "one", start=True), _server(sim, "two"), _network(sim)
    sim.machines.pause.clear()
    body = {"network": network}
    first = sim.call("POST", f"/servers/{one}/actions/attach_to_network", body)
    members = sim.call("GET", f"/networks/{network}/members").json()["members"]
    second = sim.call("POST", f"/servers/{two}/actions/attach_to_network", body)
    third = sim.call("POST", f"/servers/{one}/actions/poweroff", {})
    shown = _shown(sim, one)
    sim.machines.pause.set()
    assert (first.status_code, [member["status"] for member in members]) == (201, ["attaching"])
    assert (second.status_code, second.json()["error"]["code"]) == (409, "conflict")
    assert (third.status_code, third.json()["error"]["code"]) == (423, "locked")
    assert (shown["locked"], shown["private_net"]) == (True, [])


def test_attach_when_machine_fails_then_action_errs_and_seat_is_free(sim: HetznerSimulator) -> None:
    server, network = _server(sim, start=True), _network(sim)
    sim.machines.broken = {"attach"}
    assert _act(sim, server, "attach_to_network", network=network, ip="10.0.1.5") == "error"
    assert sim.client().networks.get_member_all(sim.client().networks.get_by_id(network)) == []


def test_network_when_deleted_then_servers_are_detached(sim: HetznerSimulator) -> None:
    server, network = _server(sim, start=True), _network(sim)
    _act(sim, server, "attach_to_network", network=network)
    assert sim.call("DELETE", f"/networks/{network}").status_code == 204
    sim.wait_for_actions(sim.call("GET", f"/servers/{server}/actions").json()["actions"])
    assert _shown(sim, server)["private_net"] == []
    assert sim.machines.interfaces[server] == {}


def test_network_when_range_is_not_allowed_then_invalid_input(sim: HetznerSimulator) -> None:
    for ip_range in ("8.8.0.0/16", "10.0.0.0/25", "10.0.0.1/16", "fd00::/64", "nonsense"):
        answer = sim.call("POST", "/networks", {"name": "n", "ip_range": ip_range})
        assert answer.json()["error"]["code"] == "invalid_input", ip_range


def test_subnet_when_it_overlaps_or_another_zone_then_refused(sim: HetznerSimulator) -> None:
    path = f"/networks/{_network(sim)}/actions/add_subnet"
    subnet = {"type": "cloud", "network_zone": "eu-central", "ip_range": "10.0.1.128/25"}
    assert sim.call("POST", path, subnet).json()["error"]["code"] == "networks_overlap"
    elsewhere = {"type": "cloud", "network_zone": "us-east"}
    assert sim.call("POST", path, elsewhere).json()["error"]["code"] == "invalid_input"


def test_subnet_when_in_use_then_not_deleted(sim: HetznerSimulator) -> None:
    server, network = _server(sim), _network(sim)
    _act(sim, server, "attach_to_network", network=network)
    path = f"/networks/{network}/actions/delete_subnet"
    answer = sim.call("POST", path, {"ip_range": "10.0.1.0/24"})
    assert answer.json()["error"]["code"] == "resource_in_use"
