"""A drill's server on the API's simulator: alone, labelled, gone whenever it was killed."""

from dataclasses import replace
from pathlib import Path

import pytest

from pgprovision.engine.model import Action, Impact, Tier
from pgprovision.resources.hetzner.deleted_resource import DeletedResource
from pgprovision.tasks import cloud, drill
from tests.support.cloud_cluster import (
    ActionRecorder,
    call_and_wait,
    cloud_inventory,
    hetzner_tiers,
    list_objects,
    run_loop,
)
from tests.support.hetzner_simulator import HetznerSimulator

NAME = "lab-drill"


class Killed(BaseException):
    """The controller dies."""


def drill_tiers(sim: HetznerSimulator, folder: Path) -> tuple[tuple[Tier, ...], tuple[Tier, ...]]:
    """The server as it is made, and as it is removed."""
    inventory = cloud_inventory(folder, sim, nodes=1)
    node = drill.drill_node(inventory, None)
    key = replace(cloud.bootstrap_host_key(inventory, node.name), absent=True)
    deleted = DeletedResource(
        cluster="lab", collection="servers", object_name=node.name, required_label=drill.DRILL_LABEL
    )
    made = cloud.temporary_server(inventory, node, {drill.DRILL_LABEL: "here"})
    return made, (Tier("removal", (deleted,)), Tier("host keys", (key,)))


@pytest.mark.covers("F120")
@pytest.mark.parametrize("last", range(5))
def test_drill_server_when_killed_after_any_action_is_removed_and_nothing_else(
    sim: HetznerSimulator, tmp_path: Path, last: int
) -> None:
    run_loop(sim, hetzner_tiers(tmp_path))
    production, kinds = (
        list_objects(sim, "servers"),
        ("networks", "firewalls", "ssh_keys", "volumes"),
    )
    before = {kind: [item["id"] for item in list_objects(sim, kind)] for kind in kinds}
    made, removed = drill_tiers(sim, tmp_path)
    reasons: list[str] = []

    def stop(action: Action) -> None:
        reasons.append(action.why)
        if len(reasons) > last:
            raise Killed

    if last < 4:
        with pytest.raises(Killed):
            run_loop(sim, made, watcher=ActionRecorder(stop))
    else:
        assert run_loop(sim, made).remaining == []
    run_loop(sim, removed, lambda changes: Impact.DESTROY)
    assert [server["id"] for server in list_objects(sim, "servers")] == [production[0]["id"]]
    assert {kind: [item["id"] for item in list_objects(sim, kind)] for kind in kinds} == before
    assert not (tmp_path / "secrets/host_keys" / NAME).exists()
    pins = tmp_path / "secrets/known_hosts"
    assert not pins.exists() or NAME not in pins.read_text()


@pytest.mark.covers("F120")
def test_drill_server_when_made_is_alone_labelled_and_unprotected(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    run_loop(sim, hetzner_tiers(tmp_path))
    made, _ = drill_tiers(sim, tmp_path)
    assert run_loop(sim, made).remaining == []
    (server,) = (item for item in list_objects(sim, "servers") if item["name"] == NAME)
    assert server["labels"]["drill"] == "here"
    assert (server["private_net"], server["placement_group"]) == ([], None)
    assert server["protection"] == {"delete": False, "rebuild": False}
    assert run_loop(sim, made).changed == []


@pytest.mark.covers("F120")
def test_server_of_the_drills_name_when_it_has_no_such_label_is_not_removed(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    run_loop(sim, hetzner_tiers(tmp_path))
    made, removed = drill_tiers(sim, tmp_path)
    run_loop(sim, made)
    (server,) = (item for item in list_objects(sim, "servers") if item["name"] == NAME)
    labels = {key: value for key, value in server["labels"].items() if key != "drill"}
    call_and_wait(sim, "PUT", f"/servers/{server['id']}", {"labels": labels})
    run_loop(sim, removed, lambda changes: Impact.DESTROY)
    assert NAME in [str(item["name"]) for item in list_objects(sim, "servers")]
