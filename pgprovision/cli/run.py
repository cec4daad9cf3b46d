"""One run of the loop from the command line: watched, recorded, reported."""

import sys
from collections.abc import Callable, Sequence

from pgprovision import report
from pgprovision.cli.targets import Targets
from pgprovision.cli.watchers import Watchers
from pgprovision.engine import Approve, converge, look_only
from pgprovision.errors import PgprovisionError
from pgprovision.inventory.model import Inventory
from pgprovision.model import Change, Impact, Report, Tier
from pgprovision.offers import Quote
from pgprovision.record import Record


def run(
    command: str,
    inventory: Inventory,
    wishes: Callable[[Targets], Sequence[Tier]],
    approve: Approve,
    *,
    json: bool,
    quote: Callable[[Targets], Quote] = lambda targets: Quote(),
) -> int:
    """Converge what is wished as far as `approve` allows, tell the outcome; the exit code.

    `quote` says what servers cost that are to be made: a run that only looks shows what cannot be
    had, any other ends there. A run that was approved has a record; one that only looks has none.
    """
    progress = report.Progress(quiet=json)
    watchers = Watchers([progress])
    record: Record | None = None

    def asked(changes: Sequence[Change]) -> Impact | None:
        nonlocal record
        with progress.paused():
            answer = approve(changes)
        if answer is not None:
            record = Record(inventory.cluster, command)
            watchers.insert(0, record)  # before anything is sent, it is written
        return answer

    outcome, result, offered = Report(), "failed", Quote()
    failure: PgprovisionError | None = None
    try:
        with Targets(inventory) as targets:
            try:
                offered = quote(targets)
                if not json:
                    report.show_offers(offered, sys.stdout if approve is look_only else sys.stderr)
                if approve is not look_only:
                    offered.check()
                tiers = wishes(targets)
                targets.only(tiers)
                converge(tiers, targets, asked, watchers, report=outcome)
            finally:
                targets.count(outcome)
        result = "left" if outcome.left or outcome.failed else "done"
    except PgprovisionError as error:
        failure, result = error, type(error).__name__
    finally:
        progress.close()
        if record is not None:
            record.end(result, outcome.seconds)
    changes = outcome.left if record is None else outcome.changed
    path = str(record.path) if record else None
    if json:
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
        )
    if failure is not None:
        raise failure
    if not json and record is None:
        report.show_looked(outcome)
    elif not json:
        report.show_outcome(outcome, path)
    return report.exit_code(outcome)
