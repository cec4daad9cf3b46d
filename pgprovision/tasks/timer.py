"""A verb on a schedule, on the controller: a service and its timer."""

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
    """A verb that systemd runs on the controller."""

    verb: str
    cluster: str
    folder: Path
    argv: Sequence[str]
    """The command, its program by full path."""
    user: str
    """The operating system's user that runs it."""
    calendar: str
    """systemd's OnCalendar."""
    randomized_delay: str = "15min"
    """The longest random delay."""

    @property
    def name(self) -> str:
        return f"pgprovision-{self.verb}-{self.cluster}"

    @property
    def environment(self) -> str:
        """The file with the environment variables that the inventory uses."""
        return f"/etc/pgprovision/{self.cluster}.env"

    def units(self) -> dict[str, str]:
        """The text of service and timer by path."""
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
        """Service and timer on this controller, the timer enabled and running."""
        return (Tier(f"{self.verb} timer", tuple(self._resources())),)

    def _resources(self) -> Iterator[Resource]:
        for path, text in self.units().items():
            yield File(on=CONTROLLER, path=path, content=text)
        yield Unit(on=CONTROLLER, unit=f"{self.name}.service", enabled=None, active=None)
        yield Unit(on=CONTROLLER, unit=f"{self.name}.timer")
