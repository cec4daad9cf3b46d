"""What pgBackRest 2.45 and 2.55 print, read as typed values."""

import json

import pytest

from pgprovision.engine.model import Answer
from pgprovision.resources.pgbackrest.info import ArchiveInfo, parse, parse_version

FULL = {
    "archive": {"start": "00000001000000000000001F", "stop": "000000010000000000000020"},
    "backrest": {"format": 5, "version": "2.45"},
    "database": {"id": 2, "repo-key": 1},
    "error": False,
    "info": {
        "delta": 446916976,
        "repository": {"delta": 14005616, "size": 14005616},
        "size": 446916976,
    },
    "label": "20261120-103721F",
    "lsn": {"start": "0/1F000028", "stop": "0/1F000100"},
    "prior": None,
    "reference": None,
    "timestamp": {"start": 1795171041, "stop": 1795171043},
    "type": "full",
}
# A differential of 2.55 with block incremental: the repository's whole size is not in it.
DIFF = {
    **FULL,
    "error": True,
    "info": {"delta": 8460, "repository": {"delta": 464}, "size": 446916976},
    "label": "20261120-103721F_20261120-103723D",
    "type": "diff",
}
OLD = {**FULL, "database": {"id": 1, "repo-key": 1}, "label": "20250101-000000F"}
STANZA = {
    "archive": [
        {"database": {"id": 1, "repo-key": 1}, "id": "14-1", "max": "A", "min": "A"},
        {"database": {"id": 2, "repo-key": 1}, "id": "15-2", "max": "C", "min": "B"},
    ],
    "backup": [OLD, FULL, DIFF],
    "cipher": "aes-256-cbc",
    "db": [
        {"id": 1, "repo-key": 1, "system-id": 60, "version": "14"},
        {"id": 2, "repo-key": 1, "system-id": 7710200676590158511, "version": "15"},
    ],
    "name": "main",
    "repo": [{"cipher": "aes-256-cbc", "key": 1, "status": {"code": 0, "message": "ok"}}],
    "status": {"code": 0, "lock": {"backup": {"held": False}}, "message": "ok"},
}


def answer(*stanzas: object) -> Answer:
    return Answer(out=json.dumps(stanzas).encode())


def test_info_when_a_stanza_was_upgraded_tells_the_clusters_apart() -> None:
    info = parse(answer(STANZA))
    assert not info.error
    assert info.system_identifier == "7710200676590158511"
    assert info.archive == ArchiveInfo("B", "C")
    assert [b.type for b in info.backups_of(info.system_identifier)] == ["full", "diff"]
    assert [b.label for b in info.backups_of("60")] == ["20250101-000000F"]


def test_backup_when_read_has_times_sizes_and_damage() -> None:
    full, diff = parse(answer(STANZA)).backups[1:]
    assert (full.label, full.stop, full.database_size) == (
        "20261120-103721F",
        1795171043,
        446916976,
    )
    assert full.wal_range == ("00000001000000000000001F", "000000010000000000000020")
    assert (full.repository_size, full.damaged) == (14005616, False)
    assert (diff.repository_size, diff.damaged) == (464, True)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (Answer(137), "no answer in 15 s"),
        (Answer(1, err=b"runuser: user postgres does not exist\n"), "runuser: user postgres"),
        (Answer(31, err=b"ERROR: [031]: invalid option\nHINT"), "ERROR: [031]: invalid option"),
        (Answer(0, b"not json"), "not json"),
        (answer(), "[]"),
        (Answer(2), "exit code 2"),
    ],
)
def test_info_when_nothing_can_be_read_says_why(given: Answer, problem: str) -> None:
    assert parse(given).error.startswith(problem)


def test_info_when_not_installed_is_empty_and_no_problem() -> None:
    assert not parse(Answer(127)).error
    assert not parse(Answer(127)).system_identifier


def test_problem_when_bytes_are_not_text_is_still_read() -> None:
    repo = {"key": 2, "status": {"code": 99, "message": "[CryptoError] bad"}}
    text = json.dumps([{**STANZA, "repo": [repo]}]).replace("bad", "bad \x01").encode()
    assert parse(Answer(out=text + b" ")).error == "repo2: [CryptoError] bad \x01"
    assert parse(Answer(out=text.replace(b"bad", b"b\xffd"))).error.startswith("repo2: [Crypto")


@pytest.mark.parametrize(
    ("text", "found"),
    [(b"pgBackRest 2.45\n", (2, 45)), (b"pgBackRest 2.55.1\n", (2, 55, 1)), (b"", None)],
)
def test_version_when_printed_is_compared_as_numbers(
    text: bytes, found: tuple[int, ...] | None
) -> None:
    assert parse_version(Answer(out=text)) == found
