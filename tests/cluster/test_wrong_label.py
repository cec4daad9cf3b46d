"""A label is no proof of what runs behind it: the machine itself is asked before it is stopped or
deleted."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cluster.conftest import REPLICA
from tests.support.cli_user import CliUser

pytestmark = pytest.mark.lab

OTHER = "hcb-other"


@pytest.fixture
def mistaken(cluster: CliUser, tmp_path: Path) -> Iterator[CliUser]:
    """An operator of another cluster, with the same keys; the replica's server has its labels."""
    other = replace(cluster, home=tmp_path)
    shutil.copytree(cluster.inventory, other.inventory)
    other.rewrite("cluster.yml", {r"(?m)^cluster: .*": f"cluster: {OTHER}"})
    (other.inventory / "nodes/server-postgres-1.yml").unlink()
    (other.inventory / f"nodes/{REPLICA}.yml").write_text("role: primary\nprivate_ip: 10.0.1.3\n")
    server = cluster.cloud().servers.get_by_name(REPLICA)
    assert server and server.labels
    worn = dict(server.labels)
    server.update(labels={**worn, "cluster": OTHER})
    yield other
    server.update(labels=worn)
    assert cluster.drift() == {}


@pytest.mark.covers("F23", "F50")
@pytest.mark.parametrize(
    "words",
    [("destroy", "--confirm", OTHER), ("resize", REPLICA, "--yes")],
    ids=["destroy", "resize"],
)
def test_server_when_another_machine_is_behind_its_label_is_refused_untouched(
    mistaken: CliUser, words: tuple[str, ...]
) -> None:
    mistaken.rewrite(f"nodes/{REPLICA}.yml", {r"\Z": "server_type: ccx23\n"})
    mistaken.api_requests("DELETE")
    run = mistaken.run(*words)
    assert run.code == 3, run.out + run.err
    assert f"this machine is {REPLICA} of cluster hcb-lab, not {REPLICA} of {OTHER}" in run.err
    assert mistaken.api_requests()["writes"] == 0
    server = mistaken.cloud().servers.get_by_name(REPLICA)
    assert server and server.status == "running"
    assert server.server_type and server.server_type.name == "ccx13"
