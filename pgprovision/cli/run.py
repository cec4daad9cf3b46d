"""One run of the loop from the command line: watched, recorded, reported."""

import sys
from collections.abc import Callable, Mapping, Sequence

from pgprovision import report
from pgprovision.cli.operator import Operator
from pgprovision.cli.targets import Targets
from pgprovision.cli.watchers import Watchers
from pgprovision.engine import CLOUD, Approve, Watcher, converge, look_only
from pgprovision.errors import CloudSilent, Interrupted, PgprovisionError
from pgprovision.inventory.model import Inventory
from pgprovision.model import Change, Impact, Report, Tier
from pgprovision.offers import Quote


def run(
    command: str,
    inventory: Inventory,
    wishes: Callable[[Targets], Sequence[Tier]],
    approve: Approve,
    *,
    json: bool,
    wait: float = 0.0,
    keep: bool = True,
    quote: Callable[[Targets], Quote] = lambda targets: Quote(),
    seen: Callable[[Report], None] = lambda outcome: None,
    more: bool = False,
    besides: Callable[[Targets], Mapping[str, object]] = lambda targets: {},
    watcher: Watcher | None = None,
) -> int:
    """Converge what is wished as far as `approve` allows, tell the outcome; the exit code.

    `quote` says what servers cost that are to be made: a run that only looks shows what cannot be
    had, any other ends there. A run that was approved holds its machines and has a record; one
    that only looks does neither. `wait`: seconds for another run to end. `keep` false: it acts on
    machines that others hold. `seen` is handed what a run saw that did not fail. `more`: another
    run of the same command follows, which tells the end where this one ended well. `besides`: what
    the JSON says more of a run that ended well, looked at while its machines are still held.
    """
    progress = report.Progress(quiet=json)
    watchers = Watchers([progress, *([watcher] if watcher else [])])
    outcome, offered = Report(), Quote()
    looking = approve is look_only
    failure: PgprovisionError | None = None
    added: Mapping[str, object] = {}
    with Targets(inventory) as targets:
        operator = Operator(targets, inventory.cluster, command, wait, keep=keep)

        def asked(changes: Sequence[Change]) -> Impact | None:
            with progress.paused():
                answer = approve(changes)
            if answer is not None and operator.record is None:
                # Before anything is sent, it is written.
                watchers.insert(0, operator.begin(changes, progress.note))
            return answer

        try:
            targets.ask_cloud()
            if targets.silent is None:
                offered = quote(targets)
            if not json:
                report.show_offers(offered, sys.stdout if looking else sys.stderr)
            if not looking:
                offered.check()
            tiers = wishes(targets)
            if targets.silent is not None:
                tiers = _spared(tiers, targets, targets.silent, outcome, looking)
            targets.only(tiers)
            converge(tiers, targets, asked, watchers, operator=operator, report=outcome)
            if not report.exit_code(outcome):
                added = besides(targets)
        except PgprovisionError as error:
            failure = error
        finally:
            progress.close()
            targets.count(outcome)
            operator.end(outcome, failure)
    record = operator.record
    changes = outcome.left if record is None else outcome.changed
    path = str(record.path) if record else None
    told = not more or failure is not None or report.exit_code(outcome) != 0
    if json and told:
        report.emit(
            report.document(
                command,
                inventory.cluster,
                outcome,
                changes=changes,
                record=path,
                failure=failure,
                offers=offered.as_json(),
            )
            | dict(added)
        )
    if failure is not None:
        if not json and isinstance(failure, Interrupted):
            report.show_left(outcome)
        raise failure
    seen(outcome)
    if not told:
        return 0
    if not json and record is None:
        report.show_looked(outcome)
    elif not json:
        report.show_outcome(outcome, path)
    return report.exit_code(outcome)


def _spared(
    tiers: Sequence[Tier], targets: Targets, silent: CloudSilent, outcome: Report, looking: bool
) -> Sequence[Tier]:
    """What can be done without the API. Raises CloudSilent where it is needed to act."""
    rest = targets.without_cloud(tiers)
    if rest == list(tiers):
        return tiers
    if not looking:
        raise silent
    outcome.skipped.append(f"{CLOUD}: servers, network, firewall were not looked at: {silent.what}")
    return rest
