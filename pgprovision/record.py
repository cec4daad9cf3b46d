"""A record of every run that may change something: written before each act, completed after it.

One file of JSON lines per run, in `~/.local/state/pgprovision/CLUSTER/runs` (XDG_STATE_HOME is
obeyed), 0600. Actions are recorded by their reason and shell text, which never hold a secret;
what travels on stdin is not recorded.
"""

import getpass
import json
import os
import secrets
import socket
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pgprovision import __version__
from pgprovision.errors import PgprovisionError, Refused
from pgprovision.model import Change, Do, Resource, Waiting


def folder(cluster: str) -> Path:
    """Where the records of a cluster lie on this controller."""
    state = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(state) / "pgprovision" / cluster / "runs"


class Record:
    """One run's record. A Watcher: the engine tells it before and after each act."""

    def __init__(self, cluster: str, command: str) -> None:
        now = datetime.now(UTC)
        self.path = folder(cluster) / f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}.jsonl"
        self._lock = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._write(
                "begin",
                command=command,
                cluster=cluster,
                who=getpass.getuser(),
                host=socket.gethostname(),
                argv=sys.argv[1:],
                pid=os.getpid(),
                version=__version__,
            )
        except OSError as error:
            raise Refused(
                f"the record cannot be written: {error}",
                where=str(self.path),
                done="nothing was touched",
                next="make room there, or set XDG_STATE_HOME to a folder with space",
            ) from error

    def end(self, result: str, seconds: float) -> None:
        self._write("end", result=result, seconds=round(seconds, 3))
        os.close(self._file)

    def tier(self, title: str) -> None:
        self._write("tier", title=title)

    def acting(self, changes: Sequence[Change]) -> None:
        for change in changes:
            shown = change.shown
            self._write(
                "acting",
                on=change.resource.on,
                resource=str(change.resource),
                impact=change.impact.name.lower(),
                keys=list(change.keys),
                before=shown.before,
                after=shown.after,
                actions=[{"why": a.why, "text": a.text} for a in change.actions],
            )

    def done(self, change: Change, action: Do) -> None:
        self._write("done", on=change.resource.on, resource=str(change.resource), why=action.why)

    def failed(self, target: str, error: Exception) -> None:
        self._write("failed", on=target, error=type(error).__name__, message=str(error))

    def waiting(self, resource: Resource, waiting: Waiting, seconds: float) -> None:
        """Waiting changes nothing and is not recorded."""

    def _write(self, event: str, **fields: Any) -> None:
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event}
        text = json.dumps({**line, **fields}, ensure_ascii=False) + "\n"
        with self._lock:
            try:
                os.write(self._file, text.encode("utf-8", "replace"))
                os.fsync(self._file)
            except OSError as error:
                raise PgprovisionError(
                    f"the record cannot be written, so nothing more is done: {error}",
                    where=str(self.path),
                    next="make room there and run the same command again",
                ) from error
