"""Everything a person or a program reads. The only room that prints."""

from pgprovision.report.backups import show_backups
from pgprovision.report.changes import show_changes, show_quote
from pgprovision.report.document import envelope
from pgprovision.report.drills import last_proven_restore, show_drill, show_drills
from pgprovision.report.outcome import (
    change_as_json,
    exit_code,
    run_document,
    show_differences,
    show_outcome,
    show_remaining,
    show_status,
)
from pgprovision.report.phases import PhaseTimer
from pgprovision.report.printing import (
    console,
    format_duration,
    print_error,
    print_json,
    print_line,
    print_note,
    print_verbatim,
)
from pgprovision.report.progress import Progress
from pgprovision.report.restores import show_rebuild, show_restore_plan, show_restore_result
from pgprovision.report.runs import show_runs, show_verification
from pgprovision.report.watch import show_watch

__all__ = [
    "PhaseTimer",
    "Progress",
    "change_as_json",
    "console",
    "envelope",
    "exit_code",
    "format_duration",
    "last_proven_restore",
    "print_error",
    "print_json",
    "print_line",
    "print_note",
    "print_verbatim",
    "run_document",
    "show_backups",
    "show_changes",
    "show_differences",
    "show_drill",
    "show_drills",
    "show_outcome",
    "show_quote",
    "show_rebuild",
    "show_remaining",
    "show_restore_plan",
    "show_restore_result",
    "show_runs",
    "show_status",
    "show_verification",
    "show_watch",
]
