"""watch: one look at the bucket, judged; what is reported, to whom and in which form."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pgprovision.errors import PgprovisionError
from pgprovision.inventory.watch_file import WatchFile
from pgprovision.operations.watch.repository import StoredBackup
from pgprovision.operations.watch.rules import Alarm, Limits, WatchVerdict, age_text, time_text
from pgprovision.report import envelope

OK, ALARM, UNKNOWN = "ok", "alarm", "unknown"


def limits_of(file: WatchFile) -> Limits:
    """The file's, as spans of time."""

    def span(seconds: int | None) -> timedelta | None:
        return None if seconds is None else timedelta(seconds=seconds)

    ages = file.ages
    return Limits(
        full=timedelta(seconds=ages.full),
        backup=timedelta(seconds=ages.backup),
        grace=timedelta(seconds=ages.grace),
        retention=timedelta(seconds=ages.retention),
        wal=span(ages.wal),
        drill=span(ages.drill),
        time_zone=file.time_zone,
    )


def unknown_verdict(error: PgprovisionError, now: datetime) -> WatchVerdict:
    """Where the bucket could not be looked at: nothing is known, and that is an alarm."""
    text = f"backups could not be looked at: {error.where}: {error.what}"
    next = "pgprovision watch; the pair that reads, and endpoint, are in backup.repository"
    return WatchVerdict(now, (Alarm("store_unreachable", text, next),))


def with_unsent_alarms(verdict: WatchVerdict, failed: Sequence[PgprovisionError]) -> WatchVerdict:
    """The same, with an alarm for each notification that could not be sent."""
    next = "is the service up, is its address in backup.watch still right? pgprovision watch"
    unsent = tuple(Alarm("notification_failed", f"not notified: {error}", next) for error in failed)
    return replace(verdict, alarms=(*verdict.alarms, *unsent))


def verdict_state(verdict: WatchVerdict) -> str:
    if any(alarm.kind == "store_unreachable" for alarm in verdict.alarms):
        return UNKNOWN
    return ALARM if verdict.alarms else OK


def document(file: WatchFile, verdict: WatchVerdict, sent: Mapping[str, bool]) -> dict[str, Any]:
    """`watch --json`; the same is posted to a webhook."""

    def newest(name: str, at: datetime | None) -> dict[str, Any] | None:
        if at is None:
            return None
        age = round((verdict.at - at).total_seconds())
        return {"name": name, "at": _iso(at), "age_seconds": age}

    def backup(found: StoredBackup | None) -> dict[str, Any] | None:
        return newest(found.label, found.finished_at) if found else None

    wal = verdict.wal
    return {
        **envelope(command="watch", cluster=file.cluster),
        "stanza": file.stanza,
        "at": _iso(verdict.at),
        "state": verdict_state(verdict),
        "alarms": [vars(alarm) for alarm in verdict.alarms],
        "notes": list(verdict.notes),
        "newest": {
            "full": backup(verdict.full),
            "backup": backup(verdict.backup),
            "wal": newest(*wal) if wal else None,
            "last_proven_restore": newest("drill", verdict.last_proven_restore),
        },
        "max_age_seconds": file.ages.model_dump(),
        "notified": dict(sent),
        "summary": summary(file, verdict),
    }


def summary(file: WatchFile, verdict: WatchVerdict) -> str:
    """One line: what there is, and how old."""

    def age(what: str, at: datetime | None) -> str:
        return f"{what} {age_text(verdict.at - at)} old" if at else f"no {what}"

    if verdict_state(verdict) == UNKNOWN:
        return f"{file.cluster}: cannot tell"
    how = f"{len(verdict.alarms)} alarms" if verdict.alarms else "backups are fine"
    full, backup, wal = verdict.full, verdict.backup, verdict.wal
    parts = [
        age("full", full.finished_at if full else None),
        age("newest backup", backup.finished_at if backup else None),
        age("WAL", wal[1] if wal else None),
    ]
    if verdict.last_proven_restore:
        parts.append(age("last proven restore", verdict.last_proven_restore))
    return f"{file.cluster}: {how} at {time_text(verdict.at)}: {', '.join(parts)}"


def alarm_mail(document: Mapping[str, Any]) -> tuple[str, str]:
    """Subject and text of a mail."""
    lines = [document["summary"], ""]
    for alarm in document["alarms"]:
        lines += [f"ALARM {alarm['kind']}: {alarm['message']}", f"  next: {alarm['next_command']}"]
    lines += ["", *(f"note: {note}" for note in document["notes"])]
    kinds = ", ".join(sorted({alarm["kind"] for alarm in document["alarms"]}))
    return f"[pgprovision] {document['cluster']}: {kinds}", "\n".join(lines).strip() + "\n"


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")
