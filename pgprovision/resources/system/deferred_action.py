"""Actions that can be named and not yet made."""

from pgprovision.engine.model import Action
from pgprovision.quote import sh


def deferred(why: str, reason: str) -> Action:
    """Stands in the plan until what it needs is there: a later look makes the real action of it.
    Carried out as it is, by a person with the runbook of `explain`, it stops and says so."""
    return Action(why, f"echo {sh(reason)} >&2; exit 1")
