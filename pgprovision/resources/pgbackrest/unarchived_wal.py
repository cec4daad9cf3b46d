"""The data loss if the primary failed now: commits that are in no archived WAL yet.

Only read on the primary. On an idle database nothing would be lost, however long ago the last
commit was; a backlog of archiving counts from its oldest commit on.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from pgprovision.engine.model import Answer, Probe
from pgprovision.quote import sh
from pgprovision.resources.postgres.replication.lsn import lsn_to_bytes
from pgprovision.resources.postgres.server.instance import Instance

SEGMENT_BYTES = 16 << 20  # initdb's default


@dataclass(frozen=True)
class RecoveryPoint:
    """The archive of a primary at one moment of its clock. Times are seconds since 1970."""

    observed_at: float
    first_segment: str
    """The first WAL segment that is not archived."""
    oldest_commit: float | None
    """The first commit in or after that segment; None: there is none."""

    @property
    def data_loss_seconds(self) -> float:
        """The age of the oldest commit that would be lost; 0: none would be."""
        return (
            0.0 if self.oldest_commit is None else max(0.0, self.observed_at - self.oldest_commit)
        )

    def covered_by(self, lsn: str, segment_bytes: int = SEGMENT_BYTES) -> bool:
        """Whether a copy that was recovered up to `lsn` has all that was archived. Where the last
        segment was switched early, `lsn` is at the last record and not at the segment's end."""
        begin = (int(self.first_segment[8:16], 16) << 32) + int(
            self.first_segment[16:], 16
        ) * segment_bytes
        return lsn_to_bytes(lsn) >= begin - segment_bytes


def unarchived_wal_probe(instance: Instance) -> Probe:
    """The probe for `parse`. The current segment is looked up first: what is archived meanwhile
    counts as not archived, never the other way round. Fails on a standby."""
    wal = sh(f"{instance.data_directory}/pg_wal")
    now = "select pg_walfile_name(pg_current_wal_insert_lsn())"
    dump = sh(f"{instance.bin_directory}/pg_waldump")
    return Probe(
        f"set -e; current=$({instance.psql()} <<'PGPROVISION'\n{now};\nPGPROVISION\n)\n"
        f"cd {wal}\nfirst=$(ls archive_status | sed -n 's/^\\([0-9A-F]\\{{24\\}}\\)\\.ready$/\\1/p'"
        " | sort | head -n 1)\n"
        'echo "$(date +%s.%N) ${first:=$current}"\n'
        "ls | grep -xE '[0-9A-F]{24}' | sort | while read -r segment; do\n"
        '  [ ! "$segment" \\< "$first" ] && [ ! "$segment" \\> "$current" ] || continue\n'
        f'  LC_ALL=C TZ=UTC {dump} -r Transaction "$segment" 2>/dev/null |\n'
        "    grep -om1 'COMMIT [-0-9]* [0-9:.]* UTC' || :\n"
        "done | head -n 1"
    )


def parse(answer: Answer | None) -> RecoveryPoint | None:
    """None where the primary did not answer."""
    if answer is None or answer.code or not answer.text.strip():
        return None
    head, _, commit = answer.text.strip().partition("\n")
    at, segment = head.split()
    oldest = None
    if commit:
        _, day, time, _ = commit.split()
        oldest = datetime.fromisoformat(f"{day} {time}").replace(tzinfo=UTC).timestamp()
    return RecoveryPoint(float(at), segment, oldest)
