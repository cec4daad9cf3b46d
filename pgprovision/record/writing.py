"""Writing a run's record: each line is on disk before what it announces is done."""

import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pgprovision.engine.model import Action, Change, Resource, Tier, Waiting
from pgprovision.errors import PgprovisionError, Refused
from pgprovision.record.caller import approval_source, caller
from pgprovision.record.chain import (
    RECORD_FORMAT,
    ChainLink,
    digest,
    make_private_folder,
    records_folder,
    write_all,
    write_head,
)
from pgprovision.record.readable import format_event
from pgprovision.record.reading import last_link
from pgprovision.record.undo import undo_hint


class RecordWriter:
    """One run's record. A Watcher: the engine tells it before and after each act.

    `plan` is what was approved, and `approved` how. `on_line` is handed each line that was written.
    Actions are recorded by their reason and shell text, which never hold a secret; what travels on
    stdin is not recorded. Raises Refused where it cannot be begun.
    """

    def __init__(
        self,
        cluster: str,
        command: str,
        *,
        plan: Sequence[Change] = (),
        approved: str = "",
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        self.id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        self.path = records_folder(cluster) / f"{self.id}.jsonl"
        self.text_path = self.path.with_suffix(".txt")
        self._on_line = on_line
        self._lock = threading.Lock()
        self._count, self._prev, self._text_digest = 0, "", hashlib.sha256()
        self._broken = False
        self._last_step: dict[str, float] = {}
        self._files: list[int] = []
        try:
            self._begin(cluster, command, plan, approved or approval_source(plan))
        except OSError as error:
            self._close()
            for path in (self.path, self.text_path):
                with suppress(OSError):
                    path.unlink(missing_ok=True)  # nothing was begun
            raise Refused(
                f"the record cannot be written: {error}",
                where=str(self.path),
                done="nothing was changed",
                next="free disk space there, or set XDG_STATE_HOME to a folder on another disk",
            ) from error

    def _begin(self, cluster: str, command: str, plan: Sequence[Change], approved: str) -> None:
        runs = self.path.parent
        make_private_folder(runs)
        for ours in (runs.parent.parent, runs.parent, runs):
            ours.chmod(0o700)
        before = last_link(runs)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        for path in (self.text_path, self.path):
            self._files.append(os.open(path, flags, 0o600))
        self._prev = before.digest if before else ""
        self._write_event(
            "begin",
            format=RECORD_FORMAT,
            run=self.id,
            after=before.run if before else None,
            command=command,
            cluster=cluster,
            **caller(),
            approved=approved,
            scope=sorted({change.resource.on for change in plan}),
            plan=[_change(change) for change in plan],
        )

    def end(
        self,
        result: str,
        seconds: float,
        *,
        left: Sequence[Change] = (),
        failure: Exception | None = None,
    ) -> None:
        """The run is over: what is left, and what ended it where it did not end well. A record
        that could not be written was reported already."""
        extra = {"message": str(failure)} if failure else {}
        already_reported = self._broken
        try:
            self.write_event(
                "end",
                result=result,
                seconds=round(seconds, 3),
                left=[_change(change) for change in left],
                **extra,
            )
        except PgprovisionError:
            if not already_reported:
                raise
        finally:
            self._close()

    def tier_started(self, tier: Tier) -> None:
        self.write_event("tier", title=tier.title)

    def acting(self, changes: Sequence[Change]) -> None:
        for change in changes:
            actions = [{"why": a.why, "text": a.text} for a in change.actions]
            self.write_event("acting", **_change(change), actions=actions, undo=undo_hint(change))
        now = time.monotonic()
        self._last_step.update((change.resource.on, now) for change in changes)

    def action_done(self, change: Change, action: Action) -> None:
        on, now = change.resource.on, time.monotonic()
        took = now - self._last_step.get(on, now)  # actions of a target are done one by one
        self._last_step[on] = now
        self.write_event(
            "done", on=on, resource=str(change.resource), why=action.why, seconds=round(took, 3)
        )

    def target_failed(self, target: str, error: Exception) -> None:
        self.write_event("failed", on=target, error=type(error).__name__, message=str(error))

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None:
        """Waiting changes nothing and is not recorded."""

    def _close(self) -> None:
        for file in self._files:
            os.close(file)

    def write_event(self, event: str, **fields: Any) -> None:
        """One more event, on disk when this returns. Raises PgprovisionError."""
        with self._lock:
            try:
                self._write_event(event, **fields)
            except OSError as error:
                self._broken = True
                raise PgprovisionError(
                    f"the run record cannot be written, so nothing more is changed: {error}",
                    where=str(self.path),
                    next="free disk space there and run the same command again",
                ) from error

    def _write_event(self, event: str, **fields: Any) -> None:
        """For people first: where the end was written, both files are complete."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "event": event, "n": self._count + 1, "prev": self._prev, **fields}
        text = format_event(line).encode("utf-8", "replace")
        text_digest = self._text_digest.copy()
        text_digest.update(text)
        if event == "end":
            line["readable"] = text_digest.hexdigest()
        data = json.dumps(line, ensure_ascii=False).encode("utf-8", "replace")
        edge = event in ("begin", "end")
        sizes = [os.fstat(file).st_size for file in self._files]
        try:
            for file, what in zip(self._files, (text, data + b"\n"), strict=True):
                write_all(file, what)
                if edge or file == self._files[-1]:  # the one for people can be made again
                    os.fsync(file)
        except OSError:
            for file, size in zip(self._files, sizes, strict=True):
                with suppress(OSError):
                    os.ftruncate(file, size)  # no half line where there is room again
            raise
        self._count, self._prev, self._text_digest = self._count + 1, digest(data), text_digest
        write_head(self.path.parent, ChainLink(self.id, self._prev), durable=edge)
        if self._on_line:
            self._on_line(data.decode())


def _change(change: Change) -> dict[str, Any]:
    redacted = change.redacted
    return {
        "on": change.resource.on,
        "resource": str(change.resource),
        "impact": change.impact.name.lower(),
        "keys": list(change.keys),
        "before": redacted.before,
        "after": redacted.after,
    }
