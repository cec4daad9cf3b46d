"""The whole runbook: blocks in the plan's order, each for one place."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from pgprovision.engine.model import Change, Impact, Report, Tier
from pgprovision.explain import calls, steps
from pgprovision.explain.text import comment


@dataclass(frozen=True)
class HostShell:
    """Where a block is pasted. `login` is the command to get there; empty: the machine is not
    there yet."""

    login: str


@dataclass(frozen=True)
class CloudApi:
    """An API that is called from here; `endpoint` is its address."""

    endpoint: str


Locations = Mapping[str, HostShell | CloudApi]
TitledChange = tuple[str, Change]  # the tier's title, and what differs in it


def runbook(cluster: str, tiers: Sequence[Tier], outcome: Report, locations: Locations) -> str:
    """What the look found, as text that a shell runs. `outcome` is of a run that only looked."""
    changes = tuple(_titled(tiers, outcome.remaining))
    blocks = (
        block(on, tuple(target_changes), locations[on])
        for on, target_changes in groupby(changes, lambda pair: pair[1].resource.on)
    )
    return "\n".join([*_head(cluster, outcome), *blocks])


def block(on: str, changes: Sequence[TitledChange], location: HostShell | CloudApi) -> str:
    """Everything that is to be done at one place before another's turn, as one subshell: it stops
    at the first failure and leaves the shell it was pasted into as it was."""
    actionable = [change for _, change in changes if change.actions]
    body = list(_body(changes, location))
    if not actionable:
        return "\n".join([f"#### {on}", *body, ""])
    head, start = _opening(on, actionable, location)
    return "\n".join([*head, "(", *start, steps.OK_FUNCTION, *body, ")", ""])


def _opening(
    on: str, changes: Sequence[Change], location: HostShell | CloudApi
) -> tuple[list[str], list[str]]:
    """The comment above a block, and its first lines."""
    if isinstance(location, CloudApi):
        title = f"#### {on}: from here, with curl, jq and the project's token in HCLOUD_TOKEN"
        return [title], calls.prologue(location.endpoint)
    title = f"#### {on}, as root:  {location.login}"
    if not location.login:
        title = (
            f"#### {on}, as root\n# It does not exist yet, so this is to be read: what depends on "
            "the machine is missing. Once it\n# is there, explain again."
        )
    start = steps.SHELL_PROLOGUE if location.login else steps.MACHINE_MISSING
    return [title, *steps.secrets_needed(changes)], [start]


def _body(changes: Iterable[TitledChange], location: HostShell | CloudApi) -> Iterator[str]:
    lines = calls.lines if isinstance(location, CloudApi) else steps.lines
    for title, tier_changes in groupby(changes, lambda pair: pair[0]):
        yield f"\n# ---- {title}"
        for _, change in tier_changes:
            if not change.actions:
                keys = ", ".join(change.keys)
                yield comment(f"{change.resource}: {keys} differs; nothing is done about it")
            for action in change.actions:
                worst = action.impact
                impact = "" if worst is Impact.NONE else f"  [{worst.name.lower()}]"
                yield f"\n{comment(action.why + impact)}"
                yield from lines(action)


def _titled(tiers: Sequence[Tier], changes: Iterable[Change]) -> Iterator[TitledChange]:
    """Each change with its tier's title; both are in the plan's order."""
    remaining_tiers = iter(tiers)
    title, tier_resources = "", frozenset[tuple[str, str]]()
    for change in changes:
        key = (change.resource.on, str(change.resource))
        while key not in tier_resources:
            tier = next(remaining_tiers)
            title, tier_resources = tier.title, frozenset((r.on, str(r)) for r in tier.resources)
        yield title, change


def _head(cluster: str, outcome: Report) -> Iterator[str]:
    if not outcome.remaining and not outcome.waiting and not outcome.failed:
        yield f"# Cluster {cluster}: nothing differs, so there is nothing to do."
        yield from _notes(outcome)
        yield ""
        return
    yield f"# Cluster {cluster}: what `pgprovision up` would do now, by hand ({_count(outcome)})."
    if any(change.actions for change in outcome.remaining):
        yield (
            "# Block after block from the top, each pasted whole at the place it names. A block "
            "stops at its\n# first failure. Afterwards, and after a stop, explain again: it looks, "
            "and prints what is left."
        )
    yield from _notes(outcome)
    for resource, waiting in outcome.waiting:
        yield comment(f"under way on {resource.on}: {resource}: {waiting.reason}")
    for on in outcome.failed:
        yield comment(f"{on} could not be probed; it is missing below")
    yield ""


def _count(outcome: Report) -> str:
    number = len(outcome.remaining)
    return f"{number} difference{'' if number == 1 else 's'}"


def _notes(outcome: Report) -> Iterator[str]:
    """What is no difference, and people should know."""
    for resource, text in outcome.notes:
        yield comment(f"worth knowing of {resource.on}: {text}")
