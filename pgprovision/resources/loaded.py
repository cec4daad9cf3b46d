"""What a running server has loaded, against what its files say: effects that are still pending."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import ClassVar

from pgprovision.model import Diff, Do, State
from pgprovision.resources.catalog import CatalogObject
from pgprovision.resources.reload import reload, restart
from pgprovision.resources.snapshot import Server


@dataclass(frozen=True, kw_only=True)
class Loaded(CatalogObject):
    """Nothing pending: no file written after the last load, no setting waiting for a restart, no
    line in error. Repairs a run that was killed between a write and its reload. Belongs in a tier
    after the files it judges; errors are for people (local.conf is theirs) and are left.
    """

    kind: ClassVar[str] = "loaded configuration"

    @property
    def name(self) -> str:
        return f"{self.snapshot.instance.version}/{self.snapshot.instance.name}"

    def while_down(self) -> State:
        return self.desired()  # it reads everything when it starts

    def find(self, server: Server) -> State:
        newer = [path for path, time in server.file_times.items() if time > server.loaded]
        return {
            "reload_pending": tuple(sorted(PurePosixPath(path).name for path in newer)),
            "restart_pending": server.pending_restart,
            "errors": server.file_errors + server.hba_errors,
        }

    def desired(self) -> State:
        return {"reload_pending": (), "restart_pending": (), "errors": ()}

    def change(self, diff: Diff) -> Iterable[Do]:
        before = diff.before
        if before is None or before["errors"]:
            return  # a reload would apply nothing, a restart might not come back
        instance = self.snapshot.instance
        if diff.moved("restart_pending"):
            yield restart(instance, f"{_listed(before['restart_pending'])} pending")
        elif diff.moved("reload_pending"):
            yield reload(instance, f"{_listed(before['reload_pending'])} not loaded yet")


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
