"""Where a value in postgresql.conf comes from, as its comment says it."""

from dataclasses import replace
from pathlib import Path

import pytest

from pgprovision.inventory.loader.loader import load
from pgprovision.quantity import GB
from pgprovision.resources.postgres.configuration.postgresql_conf import PostgresqlConf
from pgprovision.resources.postgres.configuration.settings_sizing import ConfSetting
from pgprovision.tasks import configuration
from pgprovision.tasks import drill as tasks
from pgprovision.tasks.context import PlanContext
from tests.support.inventory_folders import STATIC_CLUSTER, copy_inventory, static_inventory
from tests.unit.test_postgres_files import CONF


def line(conf: PostgresqlConf, name: str) -> str:
    """The line of a setting on a machine of 8 GB with a disk of 40 GB."""
    sized = replace(conf, memory=8 * GB, cores=2, disk=40 * GB)
    found = [text for text in sized.text().splitlines() if text.startswith(f"{name} = ")]
    (only,) = found
    return only


def conf_of(path: Path, cluster: str = STATIC_CLUSTER) -> PostgresqlConf:
    inventory = static_inventory(path, cluster).load()
    return configuration.plain_conf(PlanContext.declared(inventory, inventory.primary))


class TestSlotLimit:
    def test_slot_limit_when_not_declared_then_is_a_fifth_of_the_disk(self, tmp_path: Path) -> None:
        assert line(conf_of(tmp_path), "max_slot_wal_keep_size") == (
            "max_slot_wal_keep_size = '8GB'"
            "  # a fifth of the disk: beyond it a slot is lost, not the primary"
        )

    def test_slot_limit_when_declared_then_is_that_and_says_so(self, tmp_path: Path) -> None:
        cluster = (
            f"{STATIC_CLUSTER}postgres: {{replication: {{max_slot_wal_keep_size: 16GB,"
            " password: !file secrets/replicator.password}}\n"
        )
        assert line(conf_of(tmp_path, cluster), "max_slot_wal_keep_size") == (
            "max_slot_wal_keep_size = '16GB'  # set in the inventory"
        )


def test_setting_when_it_is_fixed_then_wins_over_the_inventory_with_its_own_reason() -> None:
    fixed = (ConfSetting("Archive_Mode", "off", "the drill's"),)
    conf = replace(CONF, overrides={"archive_mode": "on", "jit": True}, fixed=fixed)
    assert "Archive_Mode = 'off'  # the drill's\n" in conf.text()
    assert "jit = on  # set in the inventory\n" in conf.text()
    assert "archive_mode = " not in conf.text()


def test_drill_when_planned_then_its_own_settings_are_not_called_the_inventorys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory = load(copy_inventory("lab", tmp_path / "x", monkeypatch.setenv))
    node = tasks.drill_node(inventory, "192.0.2.99")
    tiers = tasks.package_tiers(tasks.drill_inventory(inventory, node), node)
    (conf,) = [r for tier in tiers for r in tier.resources if isinstance(r, PostgresqlConf)]
    lines = [text for text in conf.text().splitlines() if text.startswith("archive_")]
    assert lines[:2] == [
        "archive_mode = 'off'  # the drill's: a drill never archives",
        "archive_command = ''  # the drill's",
    ]
    assert "archive_timeout" in lines[2]
