"""How a run ends early, in words; and what tells one attempt at a change from the next."""

from collections.abc import Mapping, Sequence

from pgprovision.engine.model import Change, Impact, Resource
from pgprovision.errors import Interrupted, NotConverged, OutcomeUnknown, Refused


def resource_address(resource: Resource) -> str:
    """What a resource is called across all targets."""
    return f"{resource.on}: {resource}"


def attempt_key(change: Change) -> tuple[object, ...]:
    """What tells one attempt from the next: the differing keys and what they were."""
    before, after = change.diff.before, change.diff.after
    previous = None if before is None else {name: before.get(name) for name in change.diff.keys}
    return resource_address(change.resource), previous, after


def summary(changed: Sequence[Change]) -> str:
    """What is already done, in one line."""
    names = [resource_address(c.resource) for c in changed]
    shown = ", ".join(names[-8:])
    return f"{len(names)} changes, the last: {shown}" if names else "nothing"


def check_ceiling(changes: Sequence[Change], ceiling: Impact) -> None:
    """Raises Refused where one of these would do more than was allowed."""
    above = [c for c in changes if c.impact > ceiling]
    if above:
        worst = max(c.impact for c in above).name.lower()
        names = ", ".join(f"{resource_address(c.resource)} ({', '.join(c.keys)})" for c in above)
        raise Refused(
            f"needs a {worst} that was not allowed: {names}",
            next=f"choose a quiet moment and add: --allow {worst}",
        )


def interrupted(unknown: Mapping[str, OutcomeUnknown]) -> Interrupted:
    """The end that somebody asked for. `unknown`: steps whose line was cut for it."""
    lost = "; ".join(f"{on}: {error.what.partition(' (')[0]}" for on, error in unknown.items())
    error = Interrupted(
        f"interrupted{f'; outcome unknown: {lost}' if lost else ', after the step that ran'}",
        next="run the same command again: it looks first and finishes what is left",
    )
    error.exit_code = OutcomeUnknown.exit_code if lost else error.exit_code
    return error


def not_converged(changes: Sequence[Change]) -> NotConverged:
    names = []
    for change in changes:
        reason = (change.diff.before or {}).get("failure")
        names.append(f"{resource_address(change.resource)} ({reason or ', '.join(change.keys)})")
    return NotConverged(
        f"done, and still different at the last look: {'; '.join(names)}",
        next="pgprovision drift shows before and after; run up again once the cause is clear",
    )
