"""The known mistakes are kept true: each still fits the program it would break."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.seeded import ROOT, Mistake, apply_words, mistakes

ALL = mistakes()
git = pytest.mark.skipif(shutil.which("git") is None, reason="git applies the patches")


@git
@pytest.mark.parametrize("mistake", ALL, ids=[m.path.stem for m in ALL])
def test_seeded_mistake_when_the_program_moved_on_then_it_still_fits(mistake: Mistake) -> None:
    done = subprocess.run(
        apply_words(mistake.path, "--check"), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{mistake.path.name} has to be made anew: {done.stderr}"


def test_seeded_mistakes_when_counted_then_at_least_twenty_with_tests_that_are_there() -> None:
    assert len(ALL) >= 20
    named = {test for mistake in ALL for test in mistake.tests}
    assert [test for test in sorted(named) if not Path(ROOT, test).exists()] == []
