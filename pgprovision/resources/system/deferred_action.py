"""Actions that can be named and not yet made."""

from pgprovision.engine.model import Do
from pgprovision.quote import sh


def planned(why: str, lacking: str) -> Do:
    """Stands in the plan until what it needs is there: a later look makes the real action of it.
    Carried out as it is, by a person with the runbook of `explain`, it stops and says so."""
    return Do(why, f"echo {sh(lacking)} >&2; exit 1")
