"""Whatever somebody changed by hand is named, alone, and repaired."""

import pytest

from tests.support.cli_user import Person
from tests.support.manual_changes import BY_HAND, Hand, Named

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(("hand", "named"), BY_HAND)
def test_drift_when_a_hand_changed_something_names_just_that_and_up_repairs_it(
    cluster: Person, hand: Hand, named: Named
) -> None:
    hand(cluster)
    found = cluster.drift()  # also proves that the case before was repaired whole
    repaired = cluster.done("up", "--yes")
    assert found == named
    assert repaired["left"] == []


def test_drift_when_all_was_repaired_ends_with_0(cluster: Person) -> None:
    assert cluster.run("drift").code == 0
