"""What functional tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulator import Simulator, simulator


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulator]:
    """A Hetzner API of the test's own, with machines that exist only in memory."""
    with simulator(tmp_path / "cloud") as running:
        yield running
