"""How a run ends early, what it did by then, and how two attempts at a change are compared."""

from collections.abc import Mapping, Sequence

from pgprovision.engine.model import Change, Impact, Report, Resource, UnconfirmedChange
from pgprovision.errors import (
    NOTHING_CHANGED,
    Interrupted,
    NotConverged,
    OutcomeUnknown,
    Refused,
)

MAX_SHOWN_CHANGES = 8


def resource_address(resource: Resource) -> str:
    """The name of a resource among all targets: "db-1: file /etc/fstab"."""
    return f"{resource.on}: {resource}"


def attempt_key(change: Change) -> tuple[object, ...]:
    """Equal for two attempts at the same difference: the differing keys, before and after."""
    before, after = change.diff.before, change.diff.after
    previous = None if before is None else {name: before.get(name) for name in change.diff.keys}
    return resource_address(change.resource), previous, after


def describe_done(report: Report) -> str:
    """What a run did so far, in one line: the `done` of the error that ends it."""
    names = [resource_address(change.resource) for change in report.changed]
    parts = [_changed(names)] if names else []
    unconfirmed = {
        address: item
        for item in report.unconfirmed
        if (address := resource_address(item.change.resource)) not in names
    }
    if unconfirmed:
        begun = [_begun(address, item) for address, item in unconfirmed.items()]
        parts.append(f"begun and not confirmed: {', '.join(begun[-MAX_SHOWN_CHANGES:])}")
    return "; ".join(parts) or NOTHING_CHANGED


def _changed(names: Sequence[str]) -> str:
    count = f"{len(names)} {'change' if len(names) == 1 else 'changes'}"
    last = ", the last" if len(names) > MAX_SHOWN_CHANGES else ""
    return f"{count}{last}: {', '.join(names[-MAX_SHOWN_CHANGES:])}"


def _begun(address: str, item: UnconfirmedChange) -> str:
    done = ", ".join(action.why for action in item.done)
    return f"{address} (done: {done})" if done else address


def check_ceiling(changes: Sequence[Change], ceiling: Impact) -> None:
    """Raises Refused where a change has a higher impact than was approved."""
    above = [c for c in changes if c.impact > ceiling]
    if above:
        worst = max(c.impact for c in above).name.lower()
        names = ", ".join(f"{resource_address(c.resource)} ({', '.join(c.keys)})" for c in above)
        raise Refused(
            f"needs a {worst} that was not allowed: {names}",
            next=f"choose a quiet moment and add: --allow {worst}",
        )


def interrupted(unknown: Mapping[str, OutcomeUnknown]) -> Interrupted:
    """The error that ends a run on request. `unknown`: per target, the step it disconnected."""
    lost = "; ".join(f"{on}: {error.what.partition(' (')[0]}" for on, error in unknown.items())
    error = Interrupted(
        f"interrupted{f'; outcome unknown: {lost}' if lost else ', after the step that ran'}",
        next="run the same command again: it looks first and finishes what is left",
    )
    error.exit_code = OutcomeUnknown.exit_code if lost else error.exit_code
    return error


def not_converged(changes: Sequence[Change]) -> NotConverged:
    """The error for changes that still differ after all their actions."""
    names = []
    for change in changes:
        reason = (change.diff.before or {}).get("failure")
        names.append(f"{resource_address(change.resource)} ({reason or ', '.join(change.keys)})")
    return NotConverged(
        f"all actions were run, and these still differ: {'; '.join(names)}",
        next="pgprovision drift shows before and after; correct the cause, then run up again",
    )
