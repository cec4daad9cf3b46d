"""Changes to SSH and the firewall that the host rolls back unless a new connection confirms them.

Before such a change a timer is set on the host that undoes it. The change `reconnects`, so the next
look uses a new connection: that it works is the confirmation, and the timer is stopped. When the
new connection fails, or the run dies, the host is as before after a while.
"""

from dataclasses import dataclass

from pgprovision.engine.model import Action, Probe
from pgprovision.quote import sh

ROLLBACK_SECONDS = 90  # for a connection and a look at the change alone; emulated machines take 20
RUN_DIRECTORY = "/run/pgprovision"

# Under sudo the shell has lost this variable, its parent has not.
SSH_SESSION_PROBE = Probe(
    '[ -n "$SSH_CONNECTION" ] || SSH_CONNECTION=$('
    "tr '\\0' '\\n' <\"/proc/$PPID/environ\" 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p')\n"
    'echo "$SSH_CONNECTION"'
)


@dataclass(frozen=True)
class SshSession:
    """The address this session comes from, and the port of sshd it uses."""

    address: str
    port: int


def parse_ssh_session(text: str) -> SshSession | None:
    """The answer to SSH_SESSION_PROBE; None where this is no SSH session (a console)."""
    words = text.split()
    return SshSession(words[0], int(words[3])) if len(words) == 4 else None


@dataclass(frozen=True)
class ConfirmedChange:
    """The pending rollback of one change. Its script exists as long as it is pending."""

    change_name: str

    @property
    def rollback_script(self) -> str:
        return f"{RUN_DIRECTORY}/undo-{self.change_name}"

    @property
    def rollback_unit(self) -> str:
        return f"pgprovision-undo-{self.change_name}"

    def status_command(self) -> str:
        """Shell text that prints whether the change was confirmed."""
        return f"[ -e {self.rollback_script} ] && echo unproven || echo proven"

    def arm_command(self) -> str:
        """Shell text that sets the timer; `undo` is a shell function that prints the commands of
        the rollback. A pending one is kept: it leads back to what was last confirmed."""
        script = self.rollback_script
        return (
            f"umask 077; mkdir -p {RUN_DIRECTORY}\n"
            f"[ -e {script} ] || {{\n"
            f"  {{ undo; echo 'rm -f {script}'; }} >{script}.new\n"
            f"  systemd-run --quiet --collect --unit={self.rollback_unit}"
            f" --on-active={ROLLBACK_SECONDS} --timer-property=AccuracySec=1s sh {script}\n"
            f"  mv {script}.new {script}\n"
            "}"
        )

    def confirm(self) -> Action:
        """Keeps the change."""
        script, stop = self.rollback_script, sh("systemctl", "stop", f"{self.rollback_unit}.timer")
        too_late = "echo 'too late: the host has rolled the change back' >&2; exit 1"
        return Action(
            f"a new connection works: keep the {self.change_name}",
            f"[ -e {script} ] || {{ {too_late}; }}\n{stop}; rm {script}",
        )
