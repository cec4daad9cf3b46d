"""What a verb does unless it says otherwise: observe, show, ask, one call of the loop."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pgprovision import report
from pgprovision.engine.loop import CLOUD, Approve
from pgprovision.engine.model import Change, Impact, Tier
from pgprovision.errors import CloudUnreachable

if TYPE_CHECKING:
    from pgprovision.run.operation import Operation, Run


def converge_once(operation: "Operation", run: "Run") -> None:
    """Prepare, ask, converge. Raises whatever ends it."""
    targets = run.targets
    targets.check_cloud()
    if targets.cloud_error is None:
        run.offers = operation.server_offers(run.inventory, targets)
    prepared = operation.prepare(run.inventory, targets)
    observes_only = prepared.confirmation.observes_only
    if not run.options.json:
        report.show_quote(run.offers, sys.stdout if observes_only else sys.stderr)
    if not observes_only:
        run.offers.raise_if_unavailable()
    for note in prepared.notes:
        report.print_note(note)
    tiers = prepared.tiers
    if targets.cloud_error is not None:
        tiers = _without_cloud(tiers, run, targets.cloud_error, observes_only)
    approve = _announced(operation, prepared.confirmation.approval(run.options))
    run.session.converge(tiers, approve, run.report)
    if run.succeeded:
        run.details = operation.details(run)


def _announced(operation: "Operation", approve: Approve) -> Approve:
    """The same approval; the operation hears once that it was given, before anything is sent."""
    given = False

    def approved(changes: Sequence[Change]) -> Impact | None:
        nonlocal given
        answer = approve(changes)
        if answer is not None and not given:
            given = True
            operation.approved()
        return answer

    return approved


def _without_cloud(
    tiers: Sequence[Tier], run: "Run", error: CloudUnreachable, observes_only: bool
) -> Sequence[Tier]:
    """What can be done without the API. Raises CloudUnreachable where it is needed to act."""
    rest = run.targets.without_cloud(tiers)
    if rest == list(tiers):
        return tiers
    if not observes_only:
        raise error
    text = f"{CLOUD}: servers, network, firewall were not looked at: {error.what}"
    run.report.skipped.append(text)
    return rest
