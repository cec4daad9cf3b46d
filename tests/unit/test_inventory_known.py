"""B22, B82, B92: names of settings, right, slipped, gone, and of people's own."""

import pytest

from pgprovision.inventory.schema.postgres_settings import SETTING_NAMES, unknown_setting
from pgprovision.quantity import GB
from pgprovision.resources.postgres.configuration.settings_sizing import (
    MachineSize,
    general_sections,
    sized_sections,
)


@pytest.mark.parametrize("version", range(13, 19))
def test_setting_that_we_render_is_known(version: int) -> None:
    machine = MachineSize(8 * GB, 2, 80 * GB)
    for section in (*sized_sections(machine, version=version), *general_sections()):
        for setting in section.settings:
            assert unknown_setting(setting.name, version) is None


def test_every_setting_is_known_and_none_is_taken_for_another() -> None:
    unknown = {name for name in SETTING_NAMES if unknown_setting(name, 18) is not None}
    assert unknown <= {name for name in SETTING_NAMES if "has no" in str(unknown_setting(name, 18))}
    assert {unknown_setting(name.upper(), 13) for name in SETTING_NAMES} == {None}


@pytest.mark.covers("B82", "B92")
@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("work_memm", "work_mem"),
        ("max_conections", "max_connections"),
        ("shared_bufers", "shared_buffers"),
        ("effective_cache_sise", "effective_cache_size"),
        ("autovaccum", "autovacuum"),
        ("pgaudt.log", "pgaudit.log"),
        ("pg_stat_statement.max", "pg_stat_statements.max"),
        ("auto_explain.log_min_durations", "auto_explain.log_min_duration"),
    ],
)
def test_slip_names_the_setting_that_was_meant(slip: str, meant: str) -> None:
    assert unknown_setting(slip, 15) == (f"unknown setting (did you mean {meant}?)", meant)


@pytest.mark.parametrize("name", ["app.tenant", "cron.database_name", "xyzzy", "myapp.user_id"])
def test_name_that_is_near_none_is_left_to_the_server(name: str) -> None:
    assert unknown_setting(name, 15) is None
