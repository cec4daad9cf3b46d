"""How much memory the kernel may promise."""

import pytest

from pgprovision.quantity import GB
from pgprovision.resources.postgres.server.kernel_parameters import overcommit


@pytest.mark.parametrize(
    ("memory", "huge_pages", "kbytes"),
    [
        (8 * GB, 0, (8 * GB * 4 // 5 + 2 * GB) // 1024),
        (8 * GB, 1024, (6 * GB * 4 // 5 + 2 * GB) // 1024),
    ],
)
def test_overcommit_when_pages_are_huge_then_they_are_not_counted(
    memory: int, huge_pages: int, kbytes: int
) -> None:
    assert overcommit(memory, huge_pages)["vm.overcommit_kbytes"] == kbytes


def test_overcommit_when_set_then_the_limit_comes_before_the_mode() -> None:
    assert list(overcommit(8 * GB, 0)) == ["vm.overcommit_kbytes", "vm.overcommit_memory"]
