"""Whether the records are what was written: every line, every file, every run."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgprovision.record.chain import HEAD, RECORD_FORMAT, ChainLink, read_head
from pgprovision.record.reading import NOT_ENDED, RunRecord, read_runs

VALID_STATES = ("ok", NOT_ENDED, "unchained")


@dataclass(frozen=True)
class RunVerdict:
    """On one run, by its ID, or on the head. Lines count from 1."""

    id: str
    state: str
    detail: str = ""

    @property
    def valid(self) -> bool:
        return self.state in VALID_STATES


def verify(runs: Path) -> list[RunVerdict]:
    """One verdict per run that is there or should be, the newest last."""
    found = read_runs(runs)
    chained = [run for run in found if _chained(run)]
    named = [(f"run {run.id}", _previous_link(run)) for run in chained]
    verdicts: list[RunVerdict] = []
    try:
        head = read_head(runs)
        named.append((f"the {HEAD}", head))
        if head is None and chained:
            verdicts.append(RunVerdict(HEAD, "missing", "the file that names the newest run"))
    except ValueError as error:
        verdicts.append(RunVerdict(HEAD, "unreadable", str(error)))
    expected: dict[str, list[str]] = {}
    known_ids = {run.id for run in found}
    for source, link in named:
        if link is None:
            continue
        expected.setdefault(link.run, []).append(link.digest)
        if link.run not in known_ids:
            verdicts.append(RunVerdict(link.run, "missing", f"{source} names it"))
    first = found.index(chained[0]) if chained else len(found)
    run_verdicts = [
        _verify_run(run, expected.get(run.id, ()), n < first) for n, run in enumerate(found)
    ]
    return sorted(run_verdicts + verdicts, key=lambda verdict: verdict.id)


def _verify_run(run: RunRecord, expected: Sequence[str], before_the_chain: bool) -> RunVerdict:
    if run.problem:
        return RunVerdict(run.id, "unreadable", run.problem)
    state, text = (
        _newer(run)
        or _check_lines(run, before_the_chain)
        or _check_expected_digests(run, expected)
        or (_complete(run))
    )
    return RunVerdict(run.id, state, text)


def _newer(run: RunRecord) -> tuple[str, str] | None:
    """What its lines promise is not known here."""
    number = run.begin.get("format")
    if not isinstance(number, int) or number <= RECORD_FORMAT:
        return None
    formats = f"format {number}; this release reads {RECORD_FORMAT} and older"
    return "newer", f"written by a newer release ({formats}): verify it with that release"


def _check_lines(run: RunRecord, before_the_chain: bool) -> tuple[str, str] | None:
    """What is wrong from line to line."""
    if not run.lines:
        return None
    for number, event in enumerate(run.events, 1):
        if event is None:
            return "modified", f"line {number} is no record line"
    if not _chained(run):
        if before_the_chain:
            return None
        return "modified", "it has no digests, and runs before it have"
    events = [event or {} for event in run.events]
    if run.begin.get("run") != run.id:
        return "replaced", f"it is the record of run {run.begin.get('run')}"
    numbers = [event.get("n") for event in events]
    expected_numbers = list(range(1, len(events) + 1))
    misplaced = [n for n, number in zip(expected_numbers, numbers, strict=True) if n != number]
    if misplaced and set(numbers) == set(expected_numbers):
        return "reordered", f"from line {misplaced[0]} on"
    if misplaced:
        return "truncated", f"lines are missing or invalid from line {misplaced[0]} on"
    unchained = [n for n in expected_numbers[1:] if events[n - 1].get("prev") != run.digests[n - 2]]
    if unchained:  # two in a row: the line between was edited, or its digest of the one before
        between = f" or {unchained[0]}" if unchained[0] + 1 in unchained else ""
        return "modified", f"line {unchained[0] - 1}{between}"
    ends = [n for n in expected_numbers if events[n - 1].get("event") == "end"]
    if ends and ends[0] != len(events):
        return "modified", f"line {ends[0] + 1} comes after the end"
    return None


def _check_expected_digests(run: RunRecord, expected: Sequence[str]) -> tuple[str, str] | None:
    """What others know of it and it does not."""
    if all(digest in run.digests for digest in expected):
        return None
    if run.ended:
        return "modified", f"line {len(run.lines)}"
    return "truncated", f"after line {len(run.lines)}, or that line is edited"


def _complete(run: RunRecord) -> tuple[str, str]:
    end = run.ended
    if end is None:
        return NOT_ENDED, "killed, or still running"
    if not _chained(run):
        return "unchained", "written before there were digests"
    if run.partial_line:
        return "modified", f"line {len(run.lines) + 1} comes after the end"
    readable = run.path.with_suffix(".txt")
    try:
        same = hashlib.sha256(readable.read_bytes()).hexdigest() == end.get("readable")
    except OSError as error:
        return "truncated", f"{readable.name} cannot be read: {error.strerror}"
    return ("ok", "") if same else ("modified", readable.name)


def _chained(run: RunRecord) -> bool:
    return any(event is not None and "prev" in event for event in run.events)


def _previous_link(run: RunRecord) -> ChainLink | None:
    after = run.begin.get("after")
    return ChainLink(str(after), str(run.begin.get("prev"))) if after else None
