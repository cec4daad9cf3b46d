"""Whatever somebody changed by hand is named, alone, and repaired."""

import pytest

from tests.support.cli_user import CliUser
from tests.support.manual_changes import COMMON_CHANGES, Drift, ManualChange

pytestmark = pytest.mark.lab


@pytest.mark.parametrize(("hand", "named"), COMMON_CHANGES)
def test_drift_when_a_hand_changed_something_names_just_that_and_up_repairs_it(
    cluster: CliUser, hand: ManualChange, named: Drift
) -> None:
    hand(cluster)
    found = cluster.drift()  # also proves that the case before was repaired whole
    repaired = cluster.run_json("up", "--yes")
    assert found == named
    assert repaired["remaining"] == []


def test_drift_when_all_was_repaired_ends_with_0(cluster: CliUser) -> None:
    assert cluster.run("drift").code == 0
