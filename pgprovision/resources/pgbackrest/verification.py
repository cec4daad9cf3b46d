"""The verification of a repository: every file's checksum by pgBackRest, and what it does not see.

`pgbackrest verify` (2.45, 2.55) checks the files that are there and always ends with exit code 0:
it does not report a WAL segment that is missing, nor a manifest of which only the copy is left. So
the listing is checked as well.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Action,
    Answer,
    Diff,
    Facts,
    Need,
    Probe,
    Resource,
    State,
    Waiting,
    WithNeeds,
    WithNotes,
)
from pgprovision.quote import sh
from pgprovision.resources.pgbackrest import info as pgbackrest
from pgprovision.resources.pgbackrest.error_hints import error_hint
from pgprovision.resources.pgbackrest.info import SPOOL_DIRECTORY, StanzaInfo
from pgprovision.resources.postgres.replication import wal_segments
from pgprovision.resources.system.transient_unit import IDLE, Job, JobState

VERIFY_UNIT = "pgprovision-verify.service"
VERIFY_TIMEOUT = 24 * 3600
LIST_SECONDS = 600
MAX_PROBLEMS = 20  # lines of one kind; a lost bundle alone makes hundreds
_BAD = re.compile(r"invalid|missing|unusable|mismatch|corrupt|empty|ERROR|WARN")
_LOG = re.compile(r"^\S+ \S+ P\d+ +([A-Z]+): ")
MANIFESTS = ("backup.manifest", "backup.manifest.copy")


@dataclass(frozen=True)
class VerificationResult:
    """The result of a verification."""

    started_at: int = 0
    """In seconds since 1970."""
    complete: bool = False
    """It ran to its end."""
    problems: tuple[str, ...] = ()
    """One sentence each."""


@dataclass(frozen=True, kw_only=True)
class RepositoryVerification(Resource, WithNeeds, WithNotes):
    """A verification that a named unit runs in the background. Its problems are notes."""

    kind: ClassVar[str] = "repository verification"
    stanza: str
    repository: int
    """pgBackRest's number."""
    started_after: int = 0
    """It must have started later, in seconds since 1970."""
    require_sound: bool = False
    """It must have started after the first full backup, and differs while it has problems."""
    job_state: JobState = IDLE
    """A fact: the state of the unit."""

    @property
    def name(self) -> str:
        return str(self.repository)

    @property
    def job(self) -> Job:
        return Job(VERIFY_UNIT)

    def probe(self) -> Probe:
        return verification_probe(self.repository)

    def needs(self) -> tuple[Need, ...]:
        info_needs = (Need(self.on, self._info_probe()),) if self.require_sound else ()
        return (Need(self.on, self.job.probe()), *info_needs)

    def _info_probe(self) -> Probe:
        return pgbackrest.info_probe(self.stanza, self.repository)

    def resolved(self, facts: Facts) -> Self:
        job = facts.get(self.on, self.job.probe())
        info_answer = facts.get(self.on, self._info_probe()) if self.require_sound else None
        backups = pgbackrest.parse(info_answer).backups if info_answer else ()
        full = min((b.stop for b in backups if b.type == "full"), default=self.started_after)
        return replace(
            self,
            started_after=max(self.started_after, full),
            job_state=self.job.read(job) if job else IDLE,
        )

    def read(self, answer: Answer) -> State | Waiting | None:
        if self.job_state.state == "running":
            return self.job.waiting(f"verifying repository {self.repository}", VERIFY_TIMEOUT)
        found = parse(answer.text)
        if self.job_state.state == "failed":
            return {"verified": "failed"}
        if not found.complete or found.started_at <= self.started_after:
            return None
        state: State = {"verified": True, "problems": found.problems}
        return {**state, "sound": not found.problems} if self.require_sound else state

    def desired(self) -> State:
        return {"verified": True, **({"sound": True} if self.require_sound else {})}

    def notes(self, state: State) -> tuple[str, ...]:
        problems = state.get("problems")
        return tuple(map(str, problems)) if isinstance(problems, tuple) else ()

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.changed("verified"):
            if diff.before is not None:
                yield self.job.report_failure(f"the verification of repository {self.repository}")
                return
            command = ("sh", "-c", _script(self.stanza, self.repository))
            yield self.job.start(f"verify repository {self.repository}", *command)


def verification_probe(repository: int) -> Probe:
    """Prints the result of the latest verification."""
    return Probe(f"cat {_path(repository)} 2>/dev/null; true")


def _path(repository: int) -> str:
    return sh(f"{SPOOL_DIRECTORY}/pgprovision-verify-{repository}.txt")


def _script(stanza: str, repository: int) -> str:
    """Shell text for postgres: writes every part with its exit code into the result file, which is
    complete or the former one."""
    path = _path(repository)

    def run(seconds: int, *words: str) -> str:
        quiet = ("--log-level-file=off", "--log-level-stderr=error")
        options = (f"--stanza={stanza}", f"--repo={repository}", *quiet)
        return sh("timeout", "-k", "5", str(seconds), "pgbackrest", *options, *words)

    calm = "--log-level-console=off"
    info = run(LIST_SECONDS, calm, "--output=json", "info")
    folder = run(LIST_SECONDS, calm, "repo-ls", f"backup/{stanza}/@").replace("@", '"$label"')
    folder = folder.replace(f"'backup/{stanza}/\"$label\"'", f'backup/{stanza}/"$label"')
    segments = run(LIST_SECONDS, calm, "--recurse", "repo-ls", f"archive/{stanza}")
    verify = run(VERIFY_TIMEOUT, "--log-level-console=detail", "--output=none", "verify")
    labels = 'grep -o \'"label":"[^"]*"\' | cut -d\'"\' -f4'
    return (
        f"exec >{path}.new 2>&1\n"
        'echo "== begun $(date +%s)"\n'
        f'echo "== info"; i=$({info}); c=$?; printf "%s\\n" "$i"; echo "== ended $c"\n'
        f'echo "== manifests"; c=0; for label in $(printf "%s" "$i" | {labels}); do\n'
        f'f=$({folder}) || c=$?; printf "%s\\n" "$f" | sed -n "s|^backup.manifest|$label &|p"\n'
        'done; echo "== ended $c"\n'
        f'echo "== wal"; f=$({segments}); c=$?; printf "%s\\n" "$f" |'
        " grep -oE '[0-9A-F]{24}-[0-9a-f]{40}' | cut -c1-24 | sort -u\n"
        '[ "$c" = 0 ] || printf "%s\\n" "$f" | head -n 5; echo "== ended $c"\n'
        f'echo "== verify"; {verify} | cut -c1-400; echo "== ended 0"\n'
        f"echo '== done'; sync {path}.new; mv -fT {path}.new {path}"
    )


def parse(text: str) -> VerificationResult:
    """The content of a result file."""
    parts: dict[str, list[str]] = {}
    ends: dict[str, str] = {}
    begun, done, current = 0, False, ""
    for line in text.splitlines():
        if line.startswith("== "):
            word, _, rest = line[3:].partition(" ")
            if word == "begun" and rest.isdigit():
                begun = int(rest)
            elif word == "ended":
                ends[current] = rest
            elif word == "done":
                done = True
            else:
                current = word
        else:
            parts.setdefault(current, []).append(line)
    return VerificationResult(begun, done, tuple(_problems(parts, ends)) if done else ())


def _problems(parts: dict[str, list[str]], ends: dict[str, str]) -> Iterator[str]:
    info = pgbackrest.parse(Answer(out="\n".join(parts.get("info", ())).encode()))
    if info.error:
        yield f"it cannot be read: {info.error}"
        return
    for part in ("manifests", "wal"):
        if ends.get(part) != "0":
            output = "\n".join(parts.get(part, ()))
            reason = error_hint(output) or output[:300] or "no answer"
            yield f"it cannot be listed ({part}): {reason}"
    if not info.backups:
        yield "there is no backup in it"
    if ends.get("manifests") == "0":
        yield from _manifest_problems(info, parts.get("manifests", []))
    if ends.get("wal") == "0":
        yield from _wal_problems(info, parts.get("wal", []))
    yield from _verify_problems(parts.get("verify", []))


def _manifest_problems(info: StanzaInfo, lines: Iterable[str]) -> Iterator[str]:
    existing = set(lines)
    labels = {backup.label for backup in info.backups}
    for backup in info.backups:
        missing = [name for name in MANIFESTS if f"{backup.label} {name}" not in existing]
        if missing:
            rest = "the other one is there" if len(missing) == 1 else "it cannot be restored"
            yield f"backup {backup.label}: {' and '.join(missing)} missing; {rest}"
        if backup.prior and backup.prior not in labels:
            yield f"backup {backup.label}: it builds on {backup.prior}, which is missing"
        if backup.damaged:
            yield f"backup {backup.label}: pages of the database were damaged when it was taken"


def _wal_problems(info: StanzaInfo, lines: Iterable[str]) -> Iterator[str]:
    """Every gap after the oldest backup's start, and the backups that it makes useless."""
    names = [line for line in lines if wal_segments.is_segment(line)]
    backups = info.backups_of(info.system_identifier)
    if not backups:
        return
    needed = {segment for backup in backups for segment in backup.wal_range}
    for first, last in wal_segments.gaps(
        {*names, *_missing_needed(names, needed)}, min(b.wal_range[0] for b in backups)
    ):
        yield _gap_text(first, last, info)
    for segment in sorted(needed - set(names)):
        yield _gap_text(segment, segment, info)


def _missing_needed(names: Iterable[str], needed: Iterable[str]) -> Iterator[str]:
    """Needed segments that are missing: they are reported by name and do not count as gaps."""
    existing = set(names)
    yield from (segment for segment in needed if segment not in existing)


def _gap_text(first: str, last: str, info: StanzaInfo) -> str:
    span = first if first == last else f"{first} to {last}"
    spoiled = [b.label for b in info.backups if b.wal_range[0] <= last and first <= b.wal_range[1]]
    if spoiled:
        return f"WAL {span} is missing: {', '.join(spoiled)} cannot be restored"
    older = [b.label for b in info.backups if b.wal_range[1] < first]
    consequence = (
        f"from {older[-1]} nothing can be restored past it" if older else "before any backup"
    )
    return f"WAL {span} is missing: {consequence}"


def _verify_problems(lines: Iterable[str]) -> Iterator[str]:
    bad: list[str] = []
    completed = False
    for line in lines:
        completed = completed or "verify command end: completed" in line
        plain = _LOG.sub("", line).strip()
        level = found[1] if (found := _LOG.match(line)) else ""
        if level == "DETAIL" and "missing or unusable" not in plain:
            continue
        if "command begin" in plain or "command end" in plain or ": 0" in plain:
            continue
        if _BAD.search(f"{level} {plain}") and plain not in bad:
            bad.append(plain)
    yield from bad[:MAX_PROBLEMS]
    if len(bad) > MAX_PROBLEMS:
        yield f"and {len(bad) - MAX_PROBLEMS} more of that kind"
    if not completed:
        yield "pgbackrest verify did not finish"
