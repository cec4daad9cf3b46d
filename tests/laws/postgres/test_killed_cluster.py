"""F65: initdb dies at any moment. What it left is recognised, set aside, and created again."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgprovision.resources.data_directory.initdb import PostgresCluster
from pgprovision.resources.postgres.server.instance import Instance, in_progress_file
from tests.support.postgres_machine import LOCAL, converge_local, missing_prerequisite, plan_local

# Seconds; it takes one or two. Where it was faster, there is nothing half made.
SWEEP = os.environ.get("PGP_SWEEP")
POINTS = tuple(n / 20 for n in range(20)) if SWEEP else (0.0, 0.15, 0.3, 0.6)


@pytest.fixture
def cluster() -> Iterator[PostgresCluster]:
    if reason := missing_prerequisite():
        pytest.skip(f"no PostgreSQL to test with: {reason}")
    instance = Instance(15, f"killed{os.getpid()}", 54399)
    if not Path(instance.bin_directory).exists():
        pytest.skip("needs PostgreSQL 15")
    yield PostgresCluster(on=LOCAL, instance=instance)
    for path in (instance.data_directory, instance.config_directory):
        for one in Path(path).parent.glob(f"{instance.name}*"):
            shutil.rmtree(one) if one.is_dir() else one.unlink()


@pytest.mark.covers("F65")
@pytest.mark.parametrize("seconds", POINTS)
def test_cluster_when_initdb_is_killed_is_set_aside_and_created_again(
    cluster: PostgresCluster, seconds: float
) -> None:
    data = Path(cluster.instance.data_directory)
    ((action,),) = [change.actions for change in plan_local(cluster)]
    making = subprocess.Popen(
        ["sh", "-c", action.text], start_new_session=True, stderr=subprocess.DEVNULL, cwd="/"
    )
    while not Path(in_progress_file(cluster.instance)).exists():
        time.sleep(0.01)
    time.sleep(seconds)
    os.killpg(making.pid, signal.SIGKILL)
    making.wait()
    half = {path.name for path in data.iterdir()} if data.exists() else set()
    ended = not Path(in_progress_file(cluster.instance)).exists()
    report = converge_local(cluster)
    made = [str(change.resource) for change in report.changed]
    assert made == ([] if ended else [str(cluster)])
    assert plan_local(cluster) == []
    assert not Path(in_progress_file(cluster.instance)).exists()
    set_aside = list(data.parent.glob(f"{data.name}.aside-*"))
    assert [{path.name for path in one.iterdir()} for one in set_aside] == (
        [half] if half and not ended else []
    )
