"""A systemd unit: enabled, active, and whether its file is newer than what runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Diff, Probe, Resource, State, Value, Waiting
from pgprovision.errors import Refused
from pgprovision.quote import sh

START_SECONDS = 120.0
ENABLED = frozenset({"enabled", "enabled-runtime"})  # the latter: a generator's, made at each boot
_KEYS = "LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,DropInPaths,Result"


def last_log_lines(unit: str, count: int = 15) -> str:
    """Shell text that prints the log of the unit's latest run, and what systemd logged about it.

    By time: journald cannot tell the run of a process that ends at once (it loses its cgroup).
    """
    stamp = ("systemctl", "show", "--timestamp=unix", "-p", "InactiveExitTimestamp", "--value")
    lines = sh("journalctl", "-q", "-u", unit, "-n", str(count), "-o", "cat", "--no-pager")
    return f'journalctl --sync; {lines} --since "$({sh(*stamp, "--", unit)})"'


def _log_errors(log: str) -> str:
    """Shell text that prints the errors at the end of PostgreSQL's log: journald loses lines of a
    process that ends at once, such as one that finds its disk full."""
    errors_only = sh("grep", "-vE", " LOG: |the database system is (starting up|not yet)")
    return f"{sh('tail', '-n', '80', log)} | {errors_only} | tail -n 8"


def unit_probe(unit: str) -> Probe:
    """Prints the state of the unit, in one call."""
    return Probe(sh("systemctl", "show", "-p", _KEYS, "--", unit))


def parse_properties(answer: Answer) -> Mapping[str, str]:
    """`systemctl show` as a mapping. Raises Refused where systemd does not answer."""
    if answer.code:
        message = answer.err.decode(errors="replace").strip()
        raise Refused(f"systemd does not answer: {message}", next="systemctl is-system-running")
    return dict(line.split("=", 1) for line in answer.text.splitlines() if "=" in line)


@dataclass(frozen=True, kw_only=True)
class Unit(Resource):
    """A systemd unit."""

    kind: ClassVar[str] = "unit"
    unit: str
    enabled: bool | None = True
    """None: left as it is."""
    active: bool | None = True
    """None: left as it is."""
    drop_ins: tuple[str, ...] = ()
    """Files that belong to it; systemd does not report one in a new directory as unread."""
    log_file: str = ""
    """A log with more about a failed start than the journal has."""

    @property
    def name(self) -> str:
        return self.unit

    def probe(self) -> Probe:
        return unit_probe(self.unit)

    def read(self, answer: Answer) -> State | Waiting | None:
        properties = parse_properties(answer)
        if properties["LoadState"] == "not-found":
            return None if self.enabled or self.active else self.desired()
        active = properties["ActiveState"]
        if active in ("activating", "deactivating") and self.active is not None:
            return Waiting(f"{self.unit} is {active} ({properties['SubState']})", START_SECONDS)
        running: Value = active in ("active", "reloading")
        file = properties["UnitFileState"]
        unread = set(self.drop_ins) - set(properties.get("DropInPaths", "").split())
        return {
            "needs_daemon_reload": properties["NeedDaemonReload"] == "yes" or bool(unread),
            "enabled": True if file in ENABLED else False if file == "disabled" else file,
            "active": f"failed ({properties['Result']})" if active == "failed" else running,
        }

    def desired(self) -> State:
        state = {"needs_daemon_reload": False, "enabled": self.enabled, "active": self.active}
        return {key: value for key, value in state.items() if value is not None}

    def change(self, diff: Diff) -> Iterable[Action]:
        unit = self.unit
        before = diff.before or {}
        if diff.changed("needs_daemon_reload"):
            yield Action("let systemd read its unit files again", "systemctl daemon-reload")
        if diff.changed("enabled"):
            if before.get("enabled") == "masked":
                yield Action(f"unmask {unit}", sh("systemctl", "unmask", unit))
            verb = "enable" if self.enabled else "disable"
            yield Action(f"{verb} {unit}", sh("systemctl", "--quiet", verb, unit))
        if diff.changed("active"):
            verb = "start" if self.active else "stop"
            # A requested start is not one of those that systemd counts before it gives up.
            reset = sh("systemctl", "reset-failed", unit) + " 2>/dev/null; "
            more = _log_errors(self.log_file) if self.log_file else ":"
            show_errors = f"{{ {last_log_lines(unit)}; {more}; }} >&2; exit 1"
            yield Action(
                f"{verb} {unit}",
                f"{reset}{sh('systemctl', verb, unit)} || {{ {show_errors}; }}",
                timeout=START_SECONDS,
            )
