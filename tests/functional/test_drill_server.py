"""A drill's server on the API's simulator: alone, labelled, gone whenever it was killed."""

from dataclasses import replace
from pathlib import Path

import pytest

from pgprovision.engine.model import Do, Impact, Tier
from pgprovision.resources.hetzner.deleted_resource import Removal
from pgprovision.tasks import cloud, drill
from tests.support.cloud_cluster import Notebook, do, inventory, listed, run, tiers
from tests.support.hetzner_simulator import Simulator

NAME = "lab-drill"


class Killed(BaseException):
    """The controller dies."""


def wishes(sim: Simulator, folder: Path) -> tuple[tuple[Tier, ...], tuple[Tier, ...]]:
    """The server as it is made, and as it is removed."""
    whole = inventory(folder, sim, nodes=1)
    node = drill.machine(whole, None)
    key = replace(cloud.host_key(whole, node.name), absent=True)
    gone = Removal(cluster="lab", collection="servers", called=node.name, marked=drill.MARK)
    made = cloud.throw_away(whole, node, {drill.MARK: "here"})
    return made, (Tier("removal", (gone,)), Tier("host keys", (key,)))


@pytest.mark.covers("F120")
@pytest.mark.parametrize("last", range(5))
def test_drill_server_when_killed_after_any_action_is_removed_and_nothing_else(
    sim: Simulator, tmp_path: Path, last: int
) -> None:
    run(sim, tiers(tmp_path))
    production, kinds = listed(sim, "servers"), ("networks", "firewalls", "ssh_keys", "volumes")
    before = {kind: [item["id"] for item in listed(sim, kind)] for kind in kinds}
    made, removed = wishes(sim, tmp_path)
    seen: list[str] = []

    def stop(action: Do) -> None:
        seen.append(action.why)
        if len(seen) > last:
            raise Killed

    if last < 4:
        with pytest.raises(Killed):
            run(sim, made, watcher=Notebook(stop))
    else:
        assert run(sim, made).left == []
    run(sim, removed, lambda changes: Impact.DESTROY)
    assert [server["id"] for server in listed(sim, "servers")] == [production[0]["id"]]
    assert {kind: [item["id"] for item in listed(sim, kind)] for kind in kinds} == before
    assert not (tmp_path / "secrets/host_keys" / NAME).exists()
    pins = tmp_path / "secrets/known_hosts"
    assert not pins.exists() or NAME not in pins.read_text()


@pytest.mark.covers("F120")
def test_drill_server_when_made_is_alone_labelled_and_unprotected(
    sim: Simulator, tmp_path: Path
) -> None:
    run(sim, tiers(tmp_path))
    made, _ = wishes(sim, tmp_path)
    assert run(sim, made).left == []
    (server,) = (item for item in listed(sim, "servers") if item["name"] == NAME)
    assert server["labels"]["drill"] == "here"
    assert (server["private_net"], server["placement_group"]) == ([], None)
    assert server["protection"] == {"delete": False, "rebuild": False}
    assert run(sim, made).changed == []


@pytest.mark.covers("F120")
def test_server_of_the_drills_name_when_it_has_no_such_label_is_not_removed(
    sim: Simulator, tmp_path: Path
) -> None:
    run(sim, tiers(tmp_path))
    made, removed = wishes(sim, tmp_path)
    run(sim, made)
    (server,) = (item for item in listed(sim, "servers") if item["name"] == NAME)
    labels = {key: value for key, value in server["labels"].items() if key != "drill"}
    do(sim, "PUT", f"/servers/{server['id']}", {"labels": labels})
    run(sim, removed, lambda changes: Impact.DESTROY)
    assert NAME in [str(item["name"]) for item in listed(sim, "servers")]
