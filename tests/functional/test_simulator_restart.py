"""A simulator that is stopped in the middle of things loses none of them."""

from pathlib import Path

from tests.support.hetzner_simulator import FakeHypervisor, serve_simulator

_REQUEST = {"name": "one", "server_type": "ccx13", "image": "debian-12", "location": "nbg1"}


def test_create_when_restarted_before_the_wait_then_finishes(tmp_path: Path) -> None:
    machines = FakeHypervisor()
    with serve_simulator(tmp_path, machines, action_seconds=0.3) as sim:
        made = sim.call("POST", "/servers", _REQUEST).json()
    with serve_simulator(tmp_path, machines, action_seconds=0.3) as sim:
        ended = sim.wait_for_actions([made["action"], *made["next_actions"]])
        assert [action["status"] for action in ended] == ["success", "success"]
        assert sim.client().servers.get_by_id(made["server"]["id"]).status == "running"


def test_machine_work_when_interrupted_then_done_again(tmp_path: Path) -> None:
    """The second simulator opens the same folder while the first still hangs in its machine."""
    stuck, healthy = FakeHypervisor(), FakeHypervisor()
    stuck.pause.clear()
    with serve_simulator(tmp_path, stuck) as first:
        made = first.call("POST", "/servers", _REQUEST).json()
        with serve_simulator(tmp_path, healthy) as second:
            ended = second.wait_for_actions([made["action"], *made["next_actions"]])
        stuck.broken = {"create"}  # what the dead process would have done no longer matters
        stuck.pause.set()
    assert [action["status"] for action in ended] == ["success", "success"]
    assert [call for call, _ in healthy.log] == ["create", "firewall", "start"]


def test_objects_when_restarted_then_all_there_and_ids_go_on(tmp_path: Path) -> None:
    with serve_simulator(tmp_path) as sim:
        first = sim.client().placement_groups.create("g", "spread").placement_group
    with serve_simulator(tmp_path) as sim:
        assert [group.name for group in sim.client().placement_groups.get_all()] == ["g"]
        first.id = first.id or 0
        second = sim.client().placement_groups.create("h", "spread").placement_group
        assert (second.id or 0) > first.id
