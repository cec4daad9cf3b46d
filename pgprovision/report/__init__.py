"""Everything a person or a program reads. The only room that prints."""

from pgprovision.report.backups import show_backups
from pgprovision.report.changes import show_changes, show_offers
from pgprovision.report.drills import proven, show_drill, show_drills
from pgprovision.report.outcome import (
    as_json,
    document,
    exit_code,
    show_left,
    show_looked,
    show_outcome,
    show_status,
)
from pgprovision.report.phases import Phases
from pgprovision.report.printing import console, elapsed, emit, say, say_aside, say_error, verbatim
from pgprovision.report.progress import Progress
from pgprovision.report.restores import show_account, show_rebuilt, show_restorable
from pgprovision.report.runs import show_runs, show_verdicts
from pgprovision.report.watch import show_watch

__all__ = [
    "Phases",
    "Progress",
    "as_json",
    "console",
    "document",
    "elapsed",
    "emit",
    "exit_code",
    "proven",
    "say",
    "say_aside",
    "say_error",
    "show_account",
    "show_backups",
    "show_changes",
    "show_drill",
    "show_drills",
    "show_left",
    "show_looked",
    "show_offers",
    "show_outcome",
    "show_rebuilt",
    "show_restorable",
    "show_runs",
    "show_status",
    "show_verdicts",
    "show_watch",
    "verbatim",
]
