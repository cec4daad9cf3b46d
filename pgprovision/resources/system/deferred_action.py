"""Actions that are known and cannot be run yet."""

from pgprovision.engine.model import Action
from pgprovision.quote import sh


def deferred(why: str, reason: str) -> Action:
    """Stands in the plan until what it needs exists: a later look replaces it with the real action.
    If a person runs it from the runbook of `explain`, it stops with the reason."""
    return Action(why, f"echo {sh(reason)} >&2; exit 1")
