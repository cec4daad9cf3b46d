"""A record of every run that may change something: written before each act, completed after it.

In `~/.local/state/pgprovision/CLUSTER/runs` (XDG_STATE_HOME is obeyed): ID.jsonl for programs,
ID.txt with the same for people, and `head`, which names the newest. docs/records.md.
"""

from pgprovision.record.chain import make_private_folder, records_folder
from pgprovision.record.drills import DrillRecord, drill_document, drill_records, last_proven_drill
from pgprovision.record.reading import RunRecord, find_runs, read_runs
from pgprovision.record.verifying import RunVerdict, verify
from pgprovision.record.writing import RecordWriter

__all__ = [
    "DrillRecord",
    "RecordWriter",
    "RunRecord",
    "RunVerdict",
    "drill_document",
    "drill_records",
    "find_runs",
    "last_proven_drill",
    "make_private_folder",
    "read_runs",
    "records_folder",
    "verify",
]
