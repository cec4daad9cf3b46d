"""Faults by rule, and what the unmodified client makes of them."""

import pytest
import requests
from hcloud import APIException
from hcloud.actions import ActionFailedException

from tests.support.hetzner_simulator import SSH_KEY, TOKEN, HetznerSimulator


def test_fault_when_status_and_code_given_then_answered_and_nothing_done(
    sim: HetznerSimulator,
) -> None:
    sim.fault(method="POST", path="/ssh_keys", status=503, code="unavailable", message="later")
    with pytest.raises(APIException) as caught:
        sim.client().ssh_keys.create("k", SSH_KEY)
    assert (caught.value.code, caught.value.message) == ("unavailable", "later")
    assert sim.client().ssh_keys.get_all() == []


def test_fault_when_code_only_then_status_is_the_documented_one(sim: HetznerSimulator) -> None:
    sim.fault(code="resource_unavailable")
    assert sim.call("GET", "/servers").status_code == 412


def test_fault_when_status_only_then_plain_text_as_from_a_proxy(sim: HetznerSimulator) -> None:
    sim.fault(status=502, message="bad gateway")
    answer = sim.call("GET", "/servers")
    assert (answer.status_code, answer.text) == (502, "bad gateway")


def test_fault_when_nth_and_count_then_only_those_calls(sim: HetznerSimulator) -> None:
    sim.fault(method="GET", path="/serv*", nth=2, count=2, code="server_error")
    sim.call("GET", "/locations")
    found = [sim.call("GET", "/servers").status_code for _ in range(5)]
    assert found == [200, 500, 500, 200, 200]


def test_fault_when_count_is_zero_then_every_call_until_removed(sim: HetznerSimulator) -> None:
    sim.fault(count=0, code="locked")
    assert {sim.call("GET", "/servers").status_code for _ in range(4)} == {423}
    sim.control("DELETE", "/faults")
    assert sim.call("GET", "/servers").status_code == 200


def test_fault_when_dropped_before_then_nothing_is_done(sim: HetznerSimulator) -> None:
    sim.fault(method="POST", path="/ssh_keys", drop="before")
    with pytest.raises(requests.ConnectionError):
        sim.client().ssh_keys.create("k", SSH_KEY)
    assert sim.client().ssh_keys.get_all() == []


def test_fault_when_dropped_after_then_it_is_done(sim: HetznerSimulator) -> None:
    sim.fault(method="POST", path="/ssh_keys", drop="after")
    with pytest.raises(requests.ConnectionError):
        sim.client().ssh_keys.create("k", SSH_KEY)
    assert [key.name for key in sim.client().ssh_keys.get_all()] == ["k"]
    assert sim.control("GET", "/requests")["requests"][0]["status"] == 0


def test_fault_when_dropped_after_a_refusal_then_dropped_too(sim: HetznerSimulator) -> None:
    sim.fault(method="POST", drop="after", count=0)
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            sim.call("POST", "/ssh_keys", {"name": "k", "public_key": SSH_KEY})


def test_fault_when_conflict_once_then_client_retries_by_itself(sim: HetznerSimulator) -> None:
    sim.fault(method="POST", code="conflict")
    assert sim.client().ssh_keys.create("k", SSH_KEY).name == "k"


def test_fault_when_delay_beyond_the_timeout_then_client_gives_up(sim: HetznerSimulator) -> None:
    sim.fault(path="/servers", delay=2)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with pytest.raises(requests.ReadTimeout):
        requests.get(f"{sim.endpoint}/servers", headers=headers, timeout=0.2)


def test_fault_when_action_then_call_works_and_action_fails(sim: HetznerSimulator) -> None:
    client = sim.client()
    network = client.networks.create("n", "10.0.0.0/16")
    sim.fault(path="/networks/*/actions/*", action="server_error", message="no luck")
    body = {"type": "cloud", "network_zone": "eu-central"}
    answer = sim.call("POST", f"/networks/{network.id}/actions/add_subnet", body)
    with pytest.raises(ActionFailedException) as caught:
        client.actions.get_by_id(answer.json()["action"]["id"]).wait_until_finished()
    assert dict(caught.value.action.error or {}) == {"code": "server_error", "message": "no luck"}


def test_fault_when_malformed_then_refused(sim: HetznerSimulator) -> None:
    with pytest.raises(requests.HTTPError):
        sim.fault(drop="sometimes")


def test_faults_when_listed_then_show_how_often_they_were_met(sim: HetznerSimulator) -> None:
    sim.fault(path="/servers", nth=5, code="locked")
    sim.call("GET", "/servers")
    assert [fault["seen"] for fault in sim.control("GET", "/faults")["faults"]] == [1]
