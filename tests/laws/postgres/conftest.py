from collections.abc import Iterator

import pytest

from pgprovision.resources.postgres.server.instance import Instance
from tests.support import postgres_machine


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    """A real PostgreSQL for this file."""
    if reason := postgres_machine.missing_prerequisite():
        pytest.skip(f"no PostgreSQL to test with: {reason}")
    with postgres_machine.temporary_cluster() as instance:
        yield instance
