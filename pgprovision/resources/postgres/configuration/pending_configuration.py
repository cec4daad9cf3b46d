"""What a running server has loaded, against what its files say: effects that are still pending."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import ClassVar, Self

from pgprovision.engine.model import Diff, Do, Facts, Need, State, Waiting
from pgprovision.resources.postgres.configuration.shared_memory import DEFAULTS, Order, running
from pgprovision.resources.postgres.server.catalog_resource import CatalogObject
from pgprovision.resources.postgres.server.reload import put_back, reload, restart
from pgprovision.resources.postgres.server.snapshot import Server


@dataclass(frozen=True, kw_only=True)
class Loaded(CatalogObject):
    """Nothing pending: no file written after the last load, no setting waiting for a restart, no
    line in error. Repairs a run that was killed between a write and its reload. Belongs in a tier
    after the files it judges; errors are for people (local.conf is theirs) and are left.
    """

    kind: ClassVar[str] = "loaded configuration"
    order: Order | None = None
    server: Server | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        return f"{self.snapshot.instance.version}/{self.snapshot.instance.name}"

    def needs(self) -> tuple[Need, ...]:
        return self.order.needs(self.on, self.snapshot) if self.order else ()

    def settled(self, facts: Facts) -> Self:
        return replace(
            self,
            server=self.snapshot.running(facts.get(self.on, self.snapshot.ask())),
            order=self.order and self.order.settled(self.on, self.snapshot, facts),
        )

    def while_down(self) -> State:
        return self.desired()  # it reads everything when it starts

    def find(self, server: Server) -> State:
        newer = [path for path, time in server.file_times.items() if time > server.loaded]
        return {
            "reload_pending": tuple(sorted(PurePosixPath(path).name for path in newer)),
            "restart_pending": tuple(sorted(server.pending_restart)),
            "errors": server.file_errors + server.hba_errors,
        }

    def desired(self) -> State:
        return {"reload_pending": (), "restart_pending": (), "errors": ()}

    def held(self, diff: Diff) -> Waiting | None:
        """Somebody's local.conf, too, may move what binds primary and standbys together."""
        if self.order is None or self.server is None:
            return None
        now, pending = running(self.server), self.server.pending_restart
        wish = {n: int(pending[n]["value"] or DEFAULTS[n]) for n in DEFAULTS if n in pending}
        if self.on == self.order.primary:
            wish = {name: value for name, value in wish.items() if value > now[name]}
        return self.order.first(self.on, wish)

    def change(self, diff: Diff) -> Iterable[Do]:
        before = diff.before
        if before is None or before["errors"]:
            return  # a reload would apply nothing, a restart might not come back
        instance = self.snapshot.instance
        if diff.moved("restart_pending"):
            pending = self.server.pending_restart if self.server else {}
            ours = f"{instance.config_directory}/postgresql.conf"
            back = put_back(ours) if any(row["file"] == ours for row in pending.values()) else ""
            names = _listed(before["restart_pending"])
            yield restart(instance, f"{names} pending", fall_back=back)
        elif diff.moved("reload_pending"):
            yield reload(instance, f"{_listed(before['reload_pending'])} not loaded yet")


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
