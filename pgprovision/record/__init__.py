"""A record of every run that may change something: written before each act, completed after it.

In `~/.local/state/pgprovision/CLUSTER/runs` (XDG_STATE_HOME is obeyed): ID.jsonl for programs,
ID.txt with the same for people, and `head`, which names the newest. docs/records.md.
"""

from pgprovision.record.chain import folder, private
from pgprovision.record.drills import Drill, drills, last_proven
from pgprovision.record.reading import Run, by_id, read
from pgprovision.record.verifying import Verdict, verify
from pgprovision.record.writing import Record

__all__ = [
    "Drill",
    "Record",
    "Run",
    "Verdict",
    "by_id",
    "drills",
    "folder",
    "last_proven",
    "private",
    "read",
    "verify",
]
