"""A long job as a named transient systemd unit: it outlives the connection, and a rerun attaches to
it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pgprovision.engine.model import Action, Answer, Probe, Waiting
from pgprovision.quote import sh
from pgprovision.resources.system.unit import last_log_lines, parse_properties, unit_probe


@dataclass(frozen=True)
class JobState:
    """The state of a job."""

    state: Literal["none", "running", "failed"]
    """none: never started, or ended well (systemd forgets it)."""
    progress: str = ""
    """What the job's `progress` printed."""


IDLE = JobState("none")
NOT_PROBED = 6  # the exit code of what was left out of a look


@dataclass(frozen=True)
class Job:
    """A job on a host."""

    unit: str
    """The name of its unit."""
    progress: str = ":"
    """Shell text that prints how far it is."""
    error_hint_script: Callable[[str], str] = lambda variable: ":"
    """Returns shell text that prints the cause of the message in a shell variable."""

    def probe(self) -> Probe:
        """How it is; how far is asked only while it runs, and may not be known yet."""
        return Probe(
            f"s=$({unit_probe(self.unit).text}) || exit; printf '%s\\n\\n' \"$s\"\n"
            f"case $s in *ActiveState=acti*) {self.progress};; esac; true"
        )

    def unless_running(self, wrapped: Probe) -> Probe:
        """A probe that only the start needs: not run while the job runs and needs the CPU."""
        runs = (
            f"case $({self._is_active}) in active|activating|deactivating) exit {NOT_PROBED};; esac"
        )
        return Probe(f"{runs}\n{wrapped.text}")

    @property
    def _is_active(self) -> str:
        return sh("systemctl", "is-active", self.unit)

    def read(self, answer: Answer) -> JobState:
        head, _, progress = answer.text.partition("\n\n")
        active = parse_properties(Answer(answer.code, head.encode(), answer.err))["ActiveState"]
        if active in ("active", "activating", "deactivating"):
            return JobState("running", progress.strip())
        return JobState("failed") if active == "failed" else IDLE

    def waiting(self, reason: str, timeout: float) -> Waiting:
        """The state of a resource while its job runs."""
        return Waiting(reason, timeout, end_probe=self.end_probe)

    def end_probe(self, seconds: float) -> Probe:
        """Returns when the job has ended, or after `seconds`."""
        follow = sh("timeout", f"{seconds:.1f}", "tail", "-s", "0.1", "-f", "/dev/null")
        return Probe(
            f"pid=$({sh('systemctl', 'show', '-p', 'MainPID', '--value', self.unit)})\n"
            'if [ "${pid:-0}" -gt 0 ]; then '
            f'{follow} --pid="$pid"; [ $? -eq 124 ] || [ ! -e "/proc/$pid" ]\n'
            "else sleep 0.1; fi"  # between its last process and systemd's word
        )

    def start(self, why: str, *command: str, user: str = "postgres", weight: int = 25) -> Action:
        """Starts the job, unless it runs; a former failure is forgotten. `weight`: its share of the
        CPU, 100 is usual."""
        plain = [word.replace("$", "$$") for word in command]  # systemd expands $ in any word
        run = sh(
            # Its own description would be the words, and newlines in them end up as unit settings.
            *("systemd-run", "--quiet", f"--unit={self.unit}", f"--description=pgprovision: {why}"),
            *(f"--uid={user}", f"--gid={user}", "--property=Type=exec"),
            *(f"--property=CPUWeight={weight}", "--", *plain),
        )
        forget = sh("systemctl", "reset-failed", self.unit)
        runs = self._is_active
        text = f"case $({runs}) in active|activating) exit 0;; esac\n{forget} 2>/dev/null\n{run}"
        ended = f"! {sh('systemctl', '--quiet', 'is-failed', self.unit)}"
        return Action(why, text, wait_command=f"while {runs} >/dev/null; do sleep 2; done; {ended}")

    def report_failure(self, why: str) -> Action:
        """Fails with the last lines of its log, and clears the failure: the next run starts it
        again."""
        return Action(
            why,
            f"{{ echo '{self.unit} failed; run the same command again to start it again:'\n"
            f"output=$({last_log_lines(self.unit)}); printf '%s\\n' \"$output\";"
            f" {self.error_hint_script('output')}\n"
            f"systemctl reset-failed {sh(self.unit)}; }} >&2; exit 1",
        )
