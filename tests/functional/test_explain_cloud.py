"""What `explain` prints for the cloud makes the cloud: sh, curl and jq against the simulator."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pgprovision.cli.app import run as command_line
from pgprovision.engine.loop import observe_only
from pgprovision.explain import CloudApi, HostShell, Locations, runbook
from tests.support import inventory_folders
from tests.support.cloud_cluster import hetzner_tiers, list_objects, only_object, run_loop
from tests.support.hetzner_simulator import TOKEN, HetznerSimulator

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("curl", "jq", "ssh-keygen"))), reason="needs curl, jq, ssh-keygen"
)


def paste(
    sim: HetznerSimulator, folder: Path, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """The runbook of what differs now, run by sh."""
    outcome = run_loop(sim, hetzner_tiers(folder), observe_only)
    places: Locations = {
        "controller": HostShell("on this machine"),
        "hetzner": CloudApi(sim.endpoint),
    }
    text = runbook("lab", hetzner_tiers(folder), outcome, places)
    environment = {**os.environ, "HCLOUD_TOKEN": TOKEN, **variables}
    return subprocess.run(["sh"], input=text, env=environment, text=True, capture_output=True)


def test_runbook_when_pasted_then_the_cloud_is_made_and_its_host_key_pinned(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    done = paste(sim, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert run_loop(sim, hetzner_tiers(tmp_path), observe_only).remaining == []
    given = sim.machines.specs[only_object(sim, "servers")["id"]].user_data
    pinned = (tmp_path / "known_hosts").read_text().split()
    assert f"_public: {pinned[1]} {pinned[2]}" in given
    private = (tmp_path / "host_keys/db-1").read_text().splitlines()
    assert "\n".join(f"    {line}" for line in private) in given


def test_runbook_when_a_call_is_refused_then_it_stops_there(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    sim.fault(method="POST", path="/firewalls", status=403, code="forbidden")
    done = paste(sim, tmp_path)
    assert done.returncode == 1
    assert "forbidden" in done.stderr and "stopped here" in done.stderr
    assert list_objects(sim, "placement_groups") and not list_objects(sim, "servers")


def test_token_when_missing_then_nothing_is_called(sim: HetznerSimulator, tmp_path: Path) -> None:
    done = paste(sim, tmp_path, HCLOUD_TOKEN="")
    assert done.returncode != 0 and "HCLOUD_TOKEN" in done.stderr
    assert not list_objects(sim, "networks")


def test_explain_when_called_then_it_prints_the_plan_and_writes_nothing(
    sim: HetznerSimulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster = inventory_folders.HETZNER_CLUSTER.replace(
        "hetzner:\n", f"hetzner:\n  endpoint: {sim.endpoint}\n"
    )
    folder = inventory_folders.hetzner_inventory(tmp_path, cluster)
    folder.write("token", TOKEN)
    monkeypatch.setattr(sys, "argv", ["pgprovision", "-i", str(tmp_path), "explain"])
    before = sorted(path for path in tmp_path.rglob("*"))
    assert command_line() == 1
    printed = capsys.readouterr().out
    assert "# create server db-1\n" in printed and f"api={sim.endpoint}\n" in printed
    assert TOKEN not in printed
    assert sim.control("GET", "/requests")["writes"] == 0
    assert sorted(path for path in tmp_path.rglob("*")) == before
