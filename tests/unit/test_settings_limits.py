"""B85, B86, B94, B107: sizes that do not fit the machine, before the first write."""

from dataclasses import replace

import pytest

from pgprovision.engine.model import Answer
from pgprovision.errors import InventoryError
from pgprovision.resources.node.preflight import Preflight
from pgprovision.resources.postgres.configuration.postgresql_conf import PostgresqlConf
from pgprovision.resources.postgres.server.instance import Instance
from tests.unit.test_postgres_files import CONF

MB, GB = 1 << 20, 1 << 30


def look(desired: PostgresqlConf) -> None:
    """The look at the machine before the first write."""
    Preflight(on="db-1", instance=Instance(), private_ip="10.0.1.11", conf=desired).read(Answer())


def conf(memory: int = 8 * GB, disk: int = 80 * GB, **settings: str | int) -> PostgresqlConf:
    return replace(CONF, memory=memory, cores=2, disk=disk, overrides=settings)


@pytest.mark.covers("B85")
@pytest.mark.parametrize(
    ("desired", "expected"),
    [
        (conf(shared_buffers="16GB"), "shared_buffers 16GB is not less than the machine's memory"),
        (conf(shared_buffers=2000000), "shared_buffers 2000000 is not less than the machine's"),
        (conf(Shared_Buffers="8GB"), "shared_buffers 8GB is not less than the machine's memory"),
        (conf(work_mem="9GB"), "work_mem 9GB is not less than the machine's memory, 8GB"),
    ],
)
def test_memory_setting_above_the_machines_is_bad_input(
    desired: PostgresqlConf, expected: str
) -> None:
    with pytest.raises(InventoryError, match=expected) as caught:
        look(desired)
    assert caught.value.exit_code == 2
    assert caught.value.where == "db-1"
    assert caught.value.done == ""
    assert "2GB" in caught.value.next


@pytest.mark.covers("B94")
def test_slot_that_may_retain_more_than_the_disk_is_bad_input() -> None:
    with pytest.raises(InventoryError, match="max_slot_wal_keep_size 16GB is not less than the ma"):
        look(conf(disk=10 * GB, max_slot_wal_keep_size="16GB"))
    look(conf(disk=10 * GB, max_slot_wal_keep_size="2GB"))


@pytest.mark.covers("B107")
@pytest.mark.parametrize(
    ("small", "expected"),
    [
        (conf(memory=256 * MB), "256MB of memory; expected 448MB or more"),
        (conf(disk=2 * GB), "a disk of 2GB; expected 4GB or more"),
    ],
)
def test_machine_that_is_too_small_is_bad_input(small: PostgresqlConf, expected: str) -> None:
    with pytest.raises(InventoryError, match=expected):
        look(small)


@pytest.mark.covers("B86")
def test_connections_that_could_take_more_memory_than_there_is_are_a_note() -> None:
    (note,) = conf(max_connections=500, work_mem="64MB").notes({})
    assert note == (
        "500 connections x work_mem 64MB + shared_buffers 2GB are 34048MB; the machine has 8GB"
    )


@pytest.mark.parametrize("memory", [512 * MB, GB, 2 * GB, 8 * GB, 64 * GB, 256 * GB])
def test_computed_settings_when_nothing_is_given_fit_every_machine(memory: int) -> None:
    computed = conf(memory=memory, disk=20 * GB)
    look(computed)
    assert computed.notes({}) == ()


def test_conf_when_the_machine_is_not_observed_yet_is_not_judged() -> None:
    unseen = replace(CONF, overrides={"shared_buffers": "900GB"})
    look(unseen)
    assert unseen.notes({}) == ()
