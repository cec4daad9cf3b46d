"""The cloud when it answers badly, late or not at all."""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest

from pgprovision.clients.hetzner import api
from pgprovision.clients.hetzner.project import HetznerProject
from pgprovision.engine.loop import observe_only
from pgprovision.engine.model import Action, Diff, Probe, Tier
from pgprovision.errors import CloudError, Refused
from pgprovision.secret import Secret
from tests.support.cloud_cluster import (
    hetzner_project,
    hetzner_tiers,
    list_objects,
    make_server,
    only_object,
    run_loop,
)
from tests.support.hetzner_simulator import (
    READ_ONLY_TOKEN,
    TOKEN,
    HetznerSimulator,
    serve_simulator,
)

CREATES = ("/networks", "/placement_groups", "/firewalls", "/ssh_keys", "/servers")


@pytest.mark.covers("F33")
@pytest.mark.parametrize("drop", ["before", "after"])
@pytest.mark.parametrize("path", CREATES)
def test_create_when_its_answer_is_lost_makes_exactly_one(
    sim: HetznerSimulator, tmp_path: Path, path: str, drop: str
) -> None:
    sim.fault(method="POST", path=path, drop=drop)
    report = run_loop(sim, hetzner_tiers(tmp_path))
    assert report.remaining == []
    only_object(sim, path.removeprefix("/"))


# Each endpoint and method that a run from nothing uses, and in how many ways it breaks.
ENDPOINTS = (
    *(("GET", path) for path in ("/networks", "/servers", "/placement_groups", "/actions")),
    *(("POST", path) for path in CREATES),
    *(("POST", f"*/actions/{verb}") for verb in ("attach_to_network", "poweron")),
    ("POST", "*/actions/change_protection"),
)
BROKEN: dict[str, dict[str, object]] = {
    "500": {"status": 500, "code": "server_error"},
    "502": {"status": 502, "code": "bad_gateway"},
    "502 of a proxy": {"status": 502},
    "503": {"status": 503, "code": "unavailable"},
    "504": {"status": 504, "code": "timeout"},
    "504 of a proxy": {"status": 504},
    "reset before": {"drop": "before"},
    "reset after": {"drop": "after"},
    "timeout": {"delay": 1.5},
}


@pytest.mark.covers("F32")
@pytest.mark.parametrize("way", BROKEN)
@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_broken_api_is_ridden_out(
    sim: HetznerSimulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    way: str,
) -> None:
    if way == "timeout":
        monkeypatch.setattr(api, "READ_TIMEOUT", (1.0, 0.5))
        monkeypatch.setattr(api, "WRITE_TIMEOUT", (1.0, 0.5))
    sim.fault(method=method, path=path, **BROKEN[way])
    assert run_loop(sim, hetzner_tiers(tmp_path)).remaining == []
    for kind in CREATES:
        only_object(sim, kind.removeprefix("/"))
    assert [call for call, _ in sim.machines.log] == ["create", "firewall", "start"]
    requests = [(r["method"], r["path"]) for r in sim.control("GET", "/requests")["requests"]]
    tried = [
        at for at, request in enumerate(requests) if request == ("POST", path.removeprefix("*"))
    ]
    if method == "POST" and len(tried) > 1:  # looked up by name and labels before each repeat
        lists = [at for at, request in enumerate(requests) if request == ("GET", path)]
        assert all(any(a < at < b for at in lists) for a, b in pairwise(tried))


@pytest.mark.covers("F41")
def test_busy_server_is_waited_for(sim: HetznerSimulator, tmp_path: Path) -> None:
    sim.fault(method="POST", path="*/actions/poweron", status=423, code="locked", count=3)
    assert run_loop(sim, hetzner_tiers(tmp_path)).remaining == []


@pytest.mark.covers("F31")
def test_rate_limit_is_sat_out(sim: HetznerSimulator, tmp_path: Path) -> None:
    sim.fault(method="POST", path="/servers", status=429, code="rate_limit_exceeded", count=2)
    report = run_loop(sim, hetzner_tiers(tmp_path))
    assert report.remaining == []
    assert report.api_calls < 40


@pytest.mark.covers("F34")
@pytest.mark.parametrize("kind", [path.removeprefix("/") for path in CREATES])
def test_name_taken_by_ours_with_an_equal_spec_is_adopted(
    sim: HetznerSimulator, tmp_path: Path, kind: str
) -> None:
    run_loop(sim, hetzner_tiers(tmp_path))
    before = only_object(sim, kind)
    sim.control("DELETE", "/requests")
    report = run_loop(sim, hetzner_tiers(tmp_path))
    assert (report.changed, report.remaining) == ([], [])
    assert sim.control("GET", "/requests")["writes"] == 0
    assert only_object(sim, kind)["id"] == before["id"]


@pytest.mark.covers("F34")
def test_name_taken_by_ours_with_another_spec_shows_the_difference(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    run_loop(sim, hetzner_tiers(tmp_path))
    host_keys, cloud = hetzner_tiers(tmp_path)
    *rest, server = cloud.resources
    other = replace(server, server_type="ccx23", location="hel1")  # type: ignore[call-arg]
    sim.control("DELETE", "/requests")
    (change,) = run_loop(sim, (host_keys, Tier("cloud", (*rest, other))), observe_only).remaining
    keys = ("server_type", "location")
    assert (str(change.resource), change.diff.keys, change.actions) == ("server db-1", keys, ())
    assert change.diff.before
    assert [change.diff.before[key] for key in keys] == ["ccx13", "ash"]
    assert "a server is never moved" in change.keys[1]
    assert sim.control("GET", "/requests")["writes"] == 0
    only_object(sim, "servers")


@pytest.mark.covers("F37")
def test_eleventh_server_of_a_group_is_found_in_the_plan(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    assert len(run_loop(sim, hetzner_tiers(tmp_path, nodes=10), observe_only).remaining) > 10
    with pytest.raises(Refused, match="a spread group takes 10 servers, the inventory has 11"):
        run_loop(sim, hetzner_tiers(tmp_path, nodes=11), observe_only)
    assert sim.control("GET", "/requests")["writes"] == 0


@pytest.mark.covers("F36")
def test_capacity_exhausted_leaves_what_is_there_and_says_what_is_available(tmp_path: Path) -> None:
    sold_out = frozenset({("ccx13", "ash"), ("ccx13", "hel1")})
    with serve_simulator(tmp_path / "cloud", sold_out=sold_out) as sim:
        with pytest.raises(CloudError) as caught:
            run_loop(sim, hetzner_tiers(tmp_path))
        message = str(caught.value)
        assert "no capacity" in message
        assert "available now in ash: ccx23, ccx33" in message
        assert "ccx13 available now in: fsn1, nbg1, hil, sin" in message
        assert "hetzner: network net" in caught.value.done
        assert len(list_objects(sim, "networks")) == 1
        keys, cloud = hetzner_tiers(tmp_path)
        *rest, server = cloud.resources
        larger = replace(server, server_type="ccx23")  # type: ignore[call-arg]
        assert run_loop(sim, (keys, Tier("cloud", (*rest, larger)))).remaining == []


@pytest.mark.covers("F38")
def test_action_that_fails_is_named_with_id_and_code(sim: HetznerSimulator, tmp_path: Path) -> None:
    sim.fault(method="POST", path="*/actions/attach_to_network", action="action_failed")
    with pytest.raises(CloudError) as caught:
        run_loop(sim, hetzner_tiers(tmp_path))
    assert "attach_to_network (action " in caught.value.what
    assert "(action_failed)" in caught.value.what
    assert "create server db-1" in caught.value.done
    assert run_loop(sim, hetzner_tiers(tmp_path)).remaining == []


@pytest.mark.covers("F39")
def test_action_that_never_ends_is_bounded_and_not_begun_twice(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    keys, cloud = hetzner_tiers(tmp_path)
    *rest, _ = cloud.resources
    run_loop(sim, (keys, Tier("cloud", tuple(rest))))
    server = make_server("db-1", "10.0.1.11")
    create, *_ = server.change(Diff(None, server.desired()))
    sim.machines.pause.clear()
    with pytest.raises(CloudError, match=r"create_server \(action \d+\) is still running after"):
        hetzner_project(sim).act([replace(create, timeout=0.5)], lambda action: None)
    sim.machines.pause.set()
    assert run_loop(sim, hetzner_tiers(tmp_path)).remaining == []
    only_object(sim, "servers")


@pytest.mark.covers("F42")
def test_token_revoked_says_so(sim: HetznerSimulator, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="rejects the API token"):
        run_loop(sim, hetzner_tiers(tmp_path), token="revoked")


@pytest.mark.covers("F42")
def test_readonly_token_can_plan_and_not_act(sim: HetznerSimulator, tmp_path: Path) -> None:
    assert (
        len(run_loop(sim, hetzner_tiers(tmp_path), observe_only, token=READ_ONLY_TOKEN).remaining)
        == 6
    )
    with pytest.raises(CloudError, match="may only read"):
        run_loop(sim, hetzner_tiers(tmp_path), token=READ_ONLY_TOKEN)


@pytest.mark.covers("F43")
def test_quota_is_named(tmp_path: Path) -> None:
    with serve_simulator(tmp_path / "cloud", server_limit=1) as sim:
        with pytest.raises(CloudError, match=r"quota is used up.*server_limit"):
            run_loop(sim, hetzner_tiers(tmp_path, nodes=2))
        only_object(sim, "servers")


@dataclass
class Clock:
    """Time that passes only in sleep."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def patient(endpoint: str) -> tuple[HetznerProject, Clock]:
    clock = Clock()
    token = Secret(TOKEN, "test")
    return HetznerProject("hetzner", token, endpoint, "lab", sleep=clock.sleep, clock=clock), clock


@pytest.mark.covers("F31")
def test_rate_limit_for_an_hour_ends_inside_the_budget_and_says_until_when(
    tmp_path: Path,
) -> None:
    with serve_simulator(tmp_path / "cloud", rate_limit=1) as sim:
        cloud, clock = patient(sim.endpoint)
        with pytest.raises(CloudError, match=r"resets at \d\d:\d\d:\d\d UTC"):
            cloud.observe((Probe("servers"), Probe("networks")))
        assert 200 < clock.now < 300
        assert cloud.api_calls == len(clock.pauses) + 2
        assert cloud.api_calls < 20


@pytest.mark.covers("F51")
def test_api_that_is_down_says_so_within_its_budget(tmp_path: Path) -> None:
    with serve_simulator(tmp_path / "cloud") as sim:
        endpoint = sim.endpoint
    cloud, clock = patient(endpoint)
    with pytest.raises(CloudError, match="the API does not answer"):
        cloud.observe((Probe("servers"),))
    assert clock.now < 30


@pytest.mark.covers("F32")
def test_write_that_is_never_answered_ends_after_three_tries(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    sim.fault(method="POST", path="/networks", drop="before", count=0)
    cloud, _ = patient(sim.endpoint)
    create = Action("create it", "POST /networks", body={"name": "net"})
    with pytest.raises(CloudError, match="no answer 3 times, the outcome is unknown"):
        cloud.act([create], lambda action: None)
    tried = [r for r in sim.control("GET", "/requests")["requests"] if r["method"] == "POST"]
    assert len(tried) == 3


def test_name_of_a_foreign_object_in_a_path_is_refused_before_the_call(
    sim: HetznerSimulator,
) -> None:
    sim.call("POST", "/networks", {"name": "theirs", "ip_range": "10.0.0.0/16"})
    with pytest.raises(Refused, match="does not carry this cluster's labels"):
        hetzner_project(sim).act(
            [Action("delete it", "DELETE /networks/{networks:theirs}")], lambda _: None
        )
    assert len(list_objects(sim, "networks")) == 1
