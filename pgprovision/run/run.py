"""One run of the loop from the command line: watched, recorded, reported."""

import sys
from collections.abc import Callable, Mapping, Sequence

from pgprovision import report
from pgprovision.engine.endings import describe_done
from pgprovision.engine.loop import CLOUD, Approve, RunObserver, observe_only
from pgprovision.engine.model import Report, Tier
from pgprovision.errors import CloudUnreachable, Interrupted, PgprovisionError
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.run.session import Session
from pgprovision.run.targets import Targets
from pgprovision.server_offers import Quote


def run(
    command: str,
    inventory: Inventory,
    plan_tiers: Callable[[Targets], Sequence[Tier]],
    approve: Approve,
    *,
    json: bool,
    wait: float = 0.0,
    lock_hosts: bool = True,
    quote: Callable[[Targets], Quote] = lambda targets: Quote(),
    on_success: Callable[[Report], None] = lambda outcome: None,
    has_next_step: bool = False,
    extra_json: Callable[[Targets], Mapping[str, object]] = lambda targets: {},
    observer: RunObserver | None = None,
    lock_name: str = "lock",
) -> int:
    """Converge what is wished as far as `approve` allows, tell the outcome; the exit code.

    `quote` says what servers cost that are to be made: a run that only looks shows what cannot be
    had, any other ends there. A run that was approved holds its machines and has a record; one that
    only looks does neither. `wait`: seconds for another run to end. `lock_hosts` false: it acts on
    machines that others hold. `on_success` is handed what a run saw that did not fail.
    `has_next_step`: another run of the same command follows, which tells the end where this one
    ended well. `extra_json`: what the JSON says more of a run that ended well, looked at while its
    machines are still held."""
    outcome, offered = Report(), Quote()
    looking = approve is observe_only
    failure: PgprovisionError | None = None
    extra: Mapping[str, object] = {}
    with Targets(inventory) as targets:
        session = Session(
            command,
            inventory.cluster,
            targets,
            json=json,
            wait=wait,
            lock_hosts=lock_hosts,
            observer=observer,
            lock_name=lock_name,
        )
        session.outcome = outcome
        with session:
            try:
                targets.check_cloud()
                if targets.cloud_error is None:
                    offered = quote(targets)
                if not json:
                    report.show_quote(offered, sys.stdout if looking else sys.stderr)
                if not looking:
                    offered.raise_if_unavailable()
                tiers = plan_tiers(targets)
                if targets.cloud_error is not None:
                    tiers = _without_cloud(tiers, targets, targets.cloud_error, outcome, looking)
                session.converge(tiers, approve, outcome)
                if not report.exit_code(outcome):
                    extra = extra_json(targets)
            except PgprovisionError as error:
                error.done = describe_done(outcome)
                session.failure = failure = error
    path = session.record_path
    changes = outcome.remaining if path is None else outcome.changed
    report_now = not has_next_step or failure is not None or report.exit_code(outcome) != 0
    if json and report_now:
        report.print_json(
            report.run_document(
                command,
                inventory.cluster,
                outcome,
                changes=changes,
                record=path,
                failure=failure,
                offers=offered.as_json(),
            )
            | dict(extra)
        )
    if failure is not None:
        if not json and isinstance(failure, Interrupted):
            report.show_remaining(outcome)
        raise failure
    on_success(outcome)
    if not report_now:
        return 0
    if not json and path is None:
        report.show_differences(outcome)
    elif not json:
        report.show_outcome(outcome, path)
    return report.exit_code(outcome)


def _without_cloud(
    tiers: Sequence[Tier],
    targets: Targets,
    silent: CloudUnreachable,
    outcome: Report,
    looking: bool,
) -> Sequence[Tier]:
    """What can be done without the API. Raises CloudUnreachable where it is needed to act."""
    rest = targets.without_cloud(tiers)
    if rest == list(tiers):
        return tiers
    if not looking:
        raise silent
    outcome.skipped.append(f"{CLOUD}: servers, network, firewall were not looked at: {silent.what}")
    return rest
