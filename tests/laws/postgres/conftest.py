from collections.abc import Iterator

import pytest

from pgprovision.resources.postgres.server.instance import Instance
from tests.laws.postgres import server


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    """A real PostgreSQL for this file."""
    if reason := server.missing():
        pytest.skip(f"no PostgreSQL to test with: {reason}")
    with server.running() as instance:
        yield instance
