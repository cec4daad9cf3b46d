"""Whatever stands in the files, the end is an Inventory or a BadInventory that says why."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.problems import BadInventory
from tests.support.inventory_folders import HETZNER_CLUSTER, STATIC_CLUSTER, static_inventory
from tests.support.inventory_fuzzer import FRAGMENTS, FuzzTarget


@pytest.fixture(scope="module")
def folder() -> Path:
    path = Path(tempfile.mkdtemp())
    static_inventory(path)
    return path


def _ends_well(folder: Path, content: bytes) -> None:
    (folder / "cluster.yml").write_bytes(content)
    try:
        assert load(folder).cluster
    except BadInventory as wrong:
        assert wrong.problems
        assert all(str(problem).startswith(str(folder)) for problem in wrong.problems)


@given(content=st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_end_in_an_inventory_or_problems(folder: Path, content: bytes) -> None:
    _ends_well(folder, content)


@given(pieces=st.lists(st.sampled_from(FRAGMENTS), max_size=30))
@settings(max_examples=700, deadline=None)
def test_any_yaml_like_text_ends_in_an_inventory_or_problems(
    folder: Path, pieces: list[str]
) -> None:
    _ends_well(folder, "".join(pieces).encode())


@given(
    at=st.integers(0, len(HETZNER_CLUSTER)),
    cut=st.integers(0, 12),
    pieces=st.lists(st.sampled_from(FRAGMENTS), max_size=4),
    base=st.sampled_from([STATIC_CLUSTER, HETZNER_CLUSTER]),
)
@settings(max_examples=700, deadline=None)
def test_right_inventory_with_any_damage_ends_in_an_inventory_or_problems(
    folder: Path, at: int, cut: int, pieces: list[str], base: str
) -> None:
    _ends_well(folder, (base[:at] + "".join(pieces) + base[at + cut :]).encode())


@pytest.mark.covers("V15")
def test_shipped_inventories_when_mutated_end_well_and_show_no_secret(tmp_path: Path) -> None:
    """A few of `make fuzz`."""
    tally = FuzzTarget(tmp_path).run(seed=7, count=400)
    assert tally.failures == []
    assert tally.outcomes.keys() == {"an inventory", "problems"}
