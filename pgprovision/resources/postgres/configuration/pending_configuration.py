"""What a running server has loaded, compared with its files: effects that are pending."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import ClassVar, Self

from pgprovision.engine.model import Action, Diff, Facts, Need, State, Waiting, WithNeeds, WithOrder
from pgprovision.resources.postgres.configuration.shared_memory import (
    STANDBY_PARAMETERS,
    RolloutOrder,
    running_values,
)
from pgprovision.resources.postgres.server.catalog_resource import CatalogResource
from pgprovision.resources.postgres.server.reload import reload, restart, restore_previous
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot


@dataclass(frozen=True, kw_only=True)
class PendingConfiguration(CatalogResource, WithNeeds, WithOrder):
    """No file was written after the last load, no setting waits for a restart, no line is in error.
    Repairs a run that was killed between a write and its reload. Belongs in a tier after the files
    it compares; errors, as in local.conf, have to be corrected by hand."""

    kind: ClassVar[str] = "pending configuration"
    rollout_order: RolloutOrder | None = None
    reload_only: bool = False
    """What waits for a restart, and errors, are left to `up`."""
    server: ServerSnapshot | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        return f"{self.snapshot.instance.version}/{self.snapshot.instance.name}"

    def needs(self) -> tuple[Need, ...]:
        return self.rollout_order.needs(self.on, self.snapshot) if self.rollout_order else ()

    def resolved(self, facts: Facts) -> Self:
        return replace(
            self,
            server=self.snapshot.running_server(facts.get(self.on, self.snapshot.probe())),
            rollout_order=self.rollout_order
            and self.rollout_order.resolved(self.on, self.snapshot, facts),
        )

    def state_when_down(self) -> State:
        return self.desired()  # it reads everything when it starts

    def read_server(self, server: ServerSnapshot) -> State:
        newer = [path for path, time in server.file_times.items() if time > server.loaded]
        reload_pending = tuple(sorted(PurePosixPath(path).name for path in newer))
        if self.reload_only:
            return {"reload_pending": reload_pending}
        return {
            "reload_pending": reload_pending,
            "restart_pending": tuple(sorted(server.pending_restart)),
            "errors": server.file_errors + server.hba_errors,
        }

    def desired(self) -> State:
        if self.reload_only:
            return {"reload_pending": ()}
        return {"reload_pending": (), "restart_pending": (), "errors": ()}

    def blocked_by(self, diff: Diff) -> Waiting | None:
        """A value in local.conf may also be one that a standby needs as high as its primary."""
        if self.rollout_order is None or self.server is None:
            return None
        now, pending = running_values(self.server), self.server.pending_restart
        pending_values = {
            n: int(pending[n]["value"] or STANDBY_PARAMETERS[n])
            for n in STANDBY_PARAMETERS
            if n in pending
        }
        if self.on == self.rollout_order.primary:
            pending_values = {
                name: value for name, value in pending_values.items() if value > now[name]
            }
        return self.rollout_order.blocked_by(self.on, pending_values)

    def change(self, diff: Diff) -> Iterable[Action]:
        before = diff.before
        if before is None or before.get("errors"):
            return  # a reload would apply nothing, a restart might not come back
        instance = self.snapshot.instance
        if diff.changed("restart_pending"):
            pending = self.server.pending_restart if self.server else {}
            ours = f"{instance.config_directory}/postgresql.conf"
            back = (
                restore_previous(ours)
                if any(row["file"] == ours for row in pending.values())
                else ""
            )
            names = _listed(before["restart_pending"])
            yield restart(instance, f"{names} pending", rollback_script=back)
        elif diff.changed("reload_pending"):
            yield reload(instance, f"{_listed(before['reload_pending'])} not loaded yet")


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
