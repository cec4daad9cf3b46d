"""One run of the loop from the command line: watched, recorded, reported."""

import sys
from collections.abc import Callable, Mapping, Sequence

from pgprovision import report
from pgprovision.engine.loop import CLOUD, Approve, Watcher, look_only
from pgprovision.engine.model import Report, Tier
from pgprovision.errors import CloudSilent, Interrupted, PgprovisionError
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.run.session import Session
from pgprovision.run.targets import Targets
from pgprovision.server_offers import Quote


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
    turn: str = "lock",
) -> int:
    """Converge what is wished as far as `approve` allows, tell the outcome; the exit code.

    `quote` says what servers cost that are to be made: a run that only looks shows what cannot be
    had, any other ends there. A run that was approved holds its machines and has a record; one
    that only looks does neither. `wait`: seconds for another run to end. `keep` false: it acts on
    machines that others hold. `seen` is handed what a run saw that did not fail. `more`: another
    run of the same command follows, which tells the end where this one ended well. `besides`: what
    the JSON says more of a run that ended well, looked at while its machines are still held.
    """
    outcome, offered = Report(), Quote()
    looking = approve is look_only
    failure: PgprovisionError | None = None
    added: Mapping[str, object] = {}
    with Targets(inventory) as targets:
        session = Session(
            command,
            inventory.cluster,
            targets,
            json=json,
            wait=wait,
            keep=keep,
            watcher=watcher,
            turn=turn,
        )
        session.outcome = outcome
        with session:
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
                session.converge(tiers, approve, outcome)
                if not report.exit_code(outcome):
                    added = besides(targets)
            except PgprovisionError as error:
                session.failure = failure = error
    path = session.record
    changes = outcome.left if path is None else outcome.changed
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
    if not json and path is None:
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
