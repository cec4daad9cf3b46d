"""V23: what a newer release wrote is not guessed at, what an older one wrote is read."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pgprovision.errors import Refused
from pgprovision.lock_owner import LockOwner, is_parsable
from pgprovision.record import verify
from pgprovision.resources.node.identity import IdentityFacts, check_identity
from tests.support.run_records import finished_run, state
from tests.unit.test_identity import CLAIM, FULL, IDENTITY, MARKER

__all__ = ["state"]


def of_format(text: str, number: object) -> str:
    return json.dumps({**json.loads(text), "format": number, "more": ["of", "it"]})


@pytest.mark.covers("V23")
@pytest.mark.parametrize(
    ("found", "file"),
    [
        (replace(FULL, marker=of_format(MARKER, 2)), "marker.json"),
        (IdentityFacts(claim=of_format(CLAIM, 2)), "claim.json"),
        (IdentityFacts(claim=of_format(CLAIM, "next")), "claim.json"),
        (replace(FULL, marker='{"format": 7}'), "marker.json"),
    ],
)
def test_machine_when_a_newer_release_marked_it_is_refused_in_clear_words(
    found: IdentityFacts, file: str
) -> None:
    with pytest.raises(Refused, match=rf"{file} was written by a newer release .*reads 1\)") as no:
        check_identity(found, IDENTITY)
    assert no.value.done == ""
    assert "use that release" in no.value.next


@pytest.mark.covers("V23")
def test_machine_when_an_older_release_marked_it_goes_on() -> None:
    check_identity(FULL, IDENTITY)  # no format in it
    check_identity(replace(FULL, marker=of_format(MARKER, 1)), IDENTITY)


@pytest.mark.covers("V23")
def test_record_when_of_a_newer_release_is_reported_and_not_called_sound(state: Path) -> None:
    first, second = finished_run(), finished_run()
    text = first.path.read_text()
    assert '"format": 2' in text
    first.path.write_text(text.replace('"format": 2', '"format": 3'))
    [newer, *_] = [one for one in verify(state) if one.id == first.id]
    assert (newer.state, newer.valid) == ("newer", False)
    assert newer.detail.startswith("written by a newer release (format 3; this release reads 2")
    assert second.id in {one.id for one in verify(state)}


@pytest.mark.covers("V23")
def test_record_when_of_an_older_release_is_sound(state: Path) -> None:
    old = finished_run()
    lines = [json.loads(line) for line in old.path.read_text().splitlines()]
    for line in lines:
        del line["prev"]
        line.pop("format", None)
    old.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (state / "head").unlink()
    assert [(one.state, one.valid) for one in verify(state)] == [("unchained", True)]


@pytest.mark.covers("V23")
def test_lock_when_of_a_newer_release_counts_as_locked() -> None:
    owner = LockOwner("me", "here", "now", "up", "run")
    assert is_parsable(owner.text(), "3")
    newer = replace(owner, version=2).text()
    assert LockOwner.parse(newer) is None
    assert not is_parsable(newer, "3")
    more = json.dumps({**json.loads(owner.text()), "of": "more"})
    assert not is_parsable(more, "3")
