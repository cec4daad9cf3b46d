"""The synchronisation of the clock: by the installed time daemon, or systemd-timesyncd."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Diff, Probe, Resource, State, WithNotes
from pgprovision.quote import sh
from pgprovision.resources.system.packages import PackageSet

DEFAULT_DAEMON = "systemd-timesyncd"
DAEMONS = ("chrony", "ntpsec", "ntp", "openntpd", DEFAULT_DAEMON)
_SHOW = sh(
    *("systemctl", "show", "-p", "Id,LoadState,UnitFileState,ActiveState", "--"),
    *(f"{name}.service" for name in DAEMONS),
)


@dataclass(frozen=True, kw_only=True)
class Clock(Resource, WithNotes):
    """The clock is synchronised over the network. A container has the clock of its host."""

    kind: ClassVar[str] = "clock"

    @property
    def name(self) -> str:
        return "synchronised"

    def probe(self) -> Probe:
        return Probe(
            "systemd-detect-virt -q -c && exit 3\n"
            f"timedatectl show -p NTPSynchronized; echo; {_SHOW}"
        )

    def read(self, answer: Answer) -> State:
        if answer.code == 3:
            return {"daemon": "a running daemon", "container": True}
        first, *blocks = answer.text.strip().split("\n\n")
        units = [dict(line.split("=", 1) for line in b.splitlines()) for b in blocks]
        installed = [unit for unit in units if unit["LoadState"] == "loaded"]
        good = [
            u for u in installed if u["ActiveState"] == "active" and u["UnitFileState"] == "enabled"
        ]
        found = installed[0]["Id"] if installed else "none"
        return {
            "daemon": "a running daemon" if good else found,
            "synchronised": first == "NTPSynchronized=yes",
        }

    def desired(self) -> State:
        return {"daemon": "a running daemon"}

    def notes(self, state: State) -> tuple[str, ...]:
        if state.get("container"):
            return ("a container: its host sets its clock",)
        return () if state["synchronised"] else ("the clock is not synchronised yet",)

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.before is None:
            return  # a new machine's daemon is not known yet
        daemon = str(diff.before["daemon"])
        if daemon == "none":
            daemon = f"{DEFAULT_DAEMON}.service"
            package = PackageSet(on=self.on, title="clock", names=(DEFAULT_DAEMON,))
            yield from package.change(Diff({"dpkg": "sound"}, package.desired()))
        yield Action(f"start {daemon}", sh("systemctl", "enable", "--quiet", "--now", daemon))
