"""A plan as a runbook for a person: shell, SQL and HTTP calls to paste, in the order of the plan.

`explain` prints it. It is made from the very actions `up` would send, so the two cannot disagree.
"""

from pgprovision.explain.pages import CloudApi, HostShell, Locations, runbook

__all__ = ["CloudApi", "HostShell", "Locations", "runbook"]
