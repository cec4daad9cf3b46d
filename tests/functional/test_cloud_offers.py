"""A8: what servers cost and whether they can be had, asked before anything is made."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pgprovision.cli.app import app
from pgprovision.errors import CloudError
from pgprovision.tasks.cloud import server_quote, server_tiers
from tests.support import inventory_folders
from tests.support.cloud_cluster import cloud_inventory, hetzner_project, list_objects, run_loop
from tests.support.hetzner_simulator import TOKEN, HetznerSimulator, serve_simulator

SOLD_OUT = frozenset({("ccx13", "ash")})
REPLICA = "role: replica\nprivate_ip: 10.0.1.3\nserver_type: ccx23\n"


@pytest.fixture
def short(tmp_path: Path) -> Iterator[HetznerSimulator]:
    """An API without a ccx13 in ash."""
    with serve_simulator(tmp_path / "cloud", sold_out=SOLD_OUT) as running:
        yield running


def person(sim: HetznerSimulator, path: Path, *words: str) -> Result:
    """One command over an inventory of a ccx13 and a ccx23."""
    folder = inventory_folders.InventoryFolder(path)
    if not path.exists():
        cluster = inventory_folders.HETZNER_CLUSTER.replace(
            "token:", f"endpoint: {sim.endpoint}\n  token:"
        )
        folder = inventory_folders.hetzner_inventory(path, cluster)
        folder.write("token", f"{TOKEN}\n")
        folder.write("nodes/db-2.yml", REPLICA)
    return CliRunner().invoke(app, ["-i", str(path), *words], standalone_mode=False)


@pytest.mark.covers("row:A8")
def test_plan_when_servers_are_to_be_made_then_shows_what_they_are_and_cost(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    output = person(sim, tmp_path / "inventory", "plan")
    assert output.return_value == 1
    assert (
        "servers to create, prices without VAT\n"
        "  + db-1: ccx13 in ash, 2 vCPU, 8 GB, 80 GB disk, debian-12: 43.50 EUR a month\n"
        "  + db-2: ccx23 in ash, 4 vCPU, 16 GB, 160 GB disk, debian-12: 86.50 EUR a month\n"
        "  total: 130.00 EUR a month\n"
    ) in output.stdout
    assert sim.control("GET", "/requests")["writes"] == 0


def test_plan_when_a_type_is_sold_out_then_says_so_and_shows_the_rest(
    short: HetznerSimulator, tmp_path: Path
) -> None:
    output = person(short, tmp_path / "inventory", "plan")
    assert output.return_value == 1
    assert "  + db-2: ccx23 in ash" in output.stdout
    assert "! db-1: ccx13 is sold out in ash; available now in ash: ccx23, ccx33" in output.stdout
    assert "+ server db-1" in output.stdout


def test_plan_as_json_when_servers_are_to_be_made_then_has_their_prices(
    short: HetznerSimulator, tmp_path: Path
) -> None:
    offers = json.loads(person(short, tmp_path / "inventory", "plan", "--json").stdout)[
        "server_offers"
    ]
    assert [offer["node"] for offer in offers] == ["db-2", "db-1"]
    assert (offers[0]["price"], offers[0]["currency"]) == (86.5, "EUR")
    assert offers[1]["unavailable"].startswith("ccx13 is sold out in ash")


@pytest.mark.covers("F36")
def test_up_when_a_type_is_sold_out_then_ends_before_anything_is_made(
    short: HetznerSimulator, tmp_path: Path
) -> None:
    output = person(short, tmp_path / "inventory", "up", "--yes")
    assert isinstance(output.exception, CloudError)
    assert output.exception.exit_code == 6
    assert "ccx13 is sold out in ash" in output.exception.what
    assert "change server_type" in output.exception.next
    assert short.control("GET", "/requests")["writes"] == 0


def test_preflight_when_all_is_there_then_requests_nothing(
    sim: HetznerSimulator, tmp_path: Path
) -> None:
    inventory = cloud_inventory(tmp_path, sim)
    assert len(server_quote(hetzner_project(sim), inventory, inventory.nodes).offers) == 2
    run_loop(sim, server_tiers(inventory, inventory.nodes))
    cloud = hetzner_project(sim)
    assert server_quote(cloud, inventory, inventory.nodes).offers == ()
    assert cloud.api_calls == 1


@pytest.mark.covers("row:A8")
@pytest.mark.parametrize(
    ("selection", "reason"),
    [
        ({"server_type": "ccx12"}, "there is no server type ccx12"),
        ({"location": "ams1"}, "there is no location ams1; in us-east: ash"),
        ({"location": "hel1"}, "hel1 is in zone eu-central, its network in us-east"),
        ({"image": "debian-7"}, "there is no image debian-7 for x86; debian-12, debian-13"),
    ],
)
def test_preflight_when_something_does_not_exist_then_names_what_does(
    sim: HetznerSimulator, tmp_path: Path, selection: dict[str, str], reason: str
) -> None:
    inventory = cloud_inventory(tmp_path, sim)
    node = inventory.nodes[0].model_copy(update=selection)
    (refusal,) = server_quote(hetzner_project(sim), inventory, (node,)).unavailable
    assert refusal.what.startswith(reason)
    assert list_objects(sim, "servers") == []
