"""postgresql.conf sizes, against the figures computed by hand for known machines."""

import pytest

from pgprovision.errors import InventoryError
from pgprovision.quantity import GB, MB
from pgprovision.resources.postgres.configuration.settings_sizing import (
    ConfSetting,
    MachineSize,
    general_sections,
    sized_sections,
)


def values(machine: MachineSize, **options: int) -> dict[str, object]:
    return {s.name: s.value for part in sized_sections(machine, **options) for s in part.settings}


def test_sized_when_8_gb_2_cores_80_gb_then_the_figures_of_the_table() -> None:
    found = values(MachineSize(8 * GB, 2, 80 * GB))
    expected = {
        "max_connections": 200,
        "shared_buffers": "2GB",
        "effective_cache_size": "5632MB",
        "work_mem": "10MB",
        "maintenance_work_mem": "512MB",
        "autovacuum_work_mem": "170MB",
        "max_wal_size": "4GB",
        "max_slot_wal_keep_size": "16GB",
        "temp_file_limit": "8GB",
        "wal_compression": "lz4",
    }
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("reserved", [0, 180 * MB, 420 * MB])
def test_sized_when_the_kernel_keeps_some_memory_then_the_figures_stay(reserved: int) -> None:
    sold = values(MachineSize(8 * GB, 2, 80 * GB))
    assert values(MachineSize(8 * GB - reserved, 2, 80 * GB + 300 * MB)) == sold


def test_sized_when_small_or_huge_then_within_limits() -> None:
    small, huge = (
        values(MachineSize(512 * MB, 1, 5 * GB)),
        values(MachineSize(1024 * GB, 64, 8192 * GB)),
    )
    assert (small["work_mem"], huge["work_mem"]) == ("4MB", "64MB")
    assert (small["max_wal_size"], huge["max_wal_size"]) == ("2GB", "64GB")
    assert (small["shared_buffers"], huge["maintenance_work_mem"]) == ("128MB", "2GB")


def test_sized_when_older_than_15_then_without_lz4() -> None:
    assert values(MachineSize(8 * GB, 2, 80 * GB), version=14)["wal_compression"] is True


def test_settings_when_all_are_listed_then_none_twice() -> None:
    machine = MachineSize(8 * GB, 2, 80 * GB)
    names = [
        s.name for part in (*sized_sections(machine), *general_sections()) for s in part.settings
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["", "work mem", "a.b.", "x\ny", "'", "é"])
def test_setting_when_its_name_is_none_then_bad_input(name: str) -> None:
    with pytest.raises(InventoryError, match="not the name"):
        ConfSetting(name, 1)
