"""A verb on a schedule, on the machine of whoever operates the cluster: a service and its timer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgprovision.engine.model import Resource, Tier
from pgprovision.quote import systemd_exec
from pgprovision.render import render
from pgprovision.resources.system.file import File
from pgprovision.resources.system.unit import Unit

CONTROLLER = "controller"
UNIT_DIRECTORY = "/etc/systemd/system"


@dataclass(frozen=True)
class ScheduledCommand:
    """`argv`: the command, its program by full path. `user` runs it. `randomized_delay`: up to
    this much later, at random."""

    verb: str
    cluster: str
    folder: Path
    argv: Sequence[str]
    user: str
    calendar: str
    randomized_delay: str = "15min"

    @property
    def name(self) -> str:
        return f"pgprovision-{self.verb}-{self.cluster}"

    @property
    def environment(self) -> str:
        """The file for what the inventory takes from the environment."""
        return f"/etc/pgprovision/{self.cluster}.env"

    def units(self) -> dict[str, str]:
        """The text of both by their path."""
        values = {
            "verb": self.verb,
            "cluster": self.cluster,
            "user": self.user,
            "environment": self.environment,
            "command": systemd_exec(*self.argv),
            "calendar": self.calendar,
            "randomized_delay": self.randomized_delay,
        }
        return {
            f"{UNIT_DIRECTORY}/{self.name}.{kind}": render(
                f"operator.{kind}.j2", self.folder, **values
            )
            for kind in ("service", "timer")
        }

    def tiers(self) -> tuple[Tier, ...]:
        """Both on this machine, the timer enabled and running."""
        return (Tier(f"{self.verb} timer", tuple(self._resources())),)

    def _resources(self) -> Iterator[Resource]:
        for path, text in self.units().items():
            yield File(on=CONTROLLER, path=path, content=text)
        yield Unit(on=CONTROLLER, unit=f"{self.name}.service", enabled=None, active=None)
        yield Unit(on=CONTROLLER, unit=f"{self.name}.timer")
