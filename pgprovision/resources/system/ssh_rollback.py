"""Changes to the way in: the host takes them back unless a connection made after them works.

Before such a change a timer is set on the host that undoes it. The change `reconnects`, so the
next look comes over a connection made anew: that it comes at all is the proof, and the timer is
stopped. When the new connection fails, or the run dies, the host is as before after a while.
"""

from dataclasses import dataclass

from pgprovision.engine.model import Ask, Do
from pgprovision.quote import sh

SECONDS = 90  # for a connection and a look at the change alone; emulated machines take 20
RUN = "/run/pgprovision"

# Under sudo the shell has lost this variable, its parent has not.
SESSION = Ask(
    '[ -n "$SSH_CONNECTION" ] || SSH_CONNECTION=$('
    "tr '\\0' '\\n' <\"/proc/$PPID/environ\" 2>/dev/null | sed -n 's/^SSH_CONNECTION=//p')\n"
    'echo "$SSH_CONNECTION"'
)


@dataclass(frozen=True)
class Session:
    """Where this session comes from, and the port of sshd's that it came in by."""

    address: str
    port: int


def session(text: str) -> Session | None:
    """What SESSION answered; None where this is no SSH session (a console)."""
    words = text.split()
    return Session(words[0], int(words[3])) if len(words) == 4 else None


@dataclass(frozen=True)
class Undo:
    """The undoing of one change, waiting on the host. Its script is there while it waits."""

    subject: str

    @property
    def script(self) -> str:
        return f"{RUN}/undo-{self.subject}"

    @property
    def unit(self) -> str:
        return f"pgprovision-undo-{self.subject}"

    def look(self) -> str:
        """Shell text that prints whether the change has been proven."""
        return f"[ -e {self.script} ] && echo unproven || echo proven"

    def arm(self) -> str:
        """Shell text that sets the timer; `undo` is a function that prints what undoes it. Where
        one waits already it is kept: it leads back to what was last proven."""
        return (
            f"umask 077; mkdir -p {RUN}\n"
            f"[ -e {self.script} ] || {{\n"
            f"  {{ undo; echo 'rm -f {self.script}'; }} >{self.script}.new\n"
            f"  systemd-run --quiet --collect --unit={self.unit} --on-active={SECONDS}"
            f" --timer-property=AccuracySec=1s sh {self.script}\n"
            f"  mv {self.script}.new {self.script}\n"
            "}"
        )

    def disarm(self) -> Do:
        """The change stays."""
        stop = sh("systemctl", "stop", f"{self.unit}.timer")
        late = f"[ -e {self.script} ] || {{ echo 'too late: the host took it back' >&2; exit 1; }}"
        return Do(
            f"a new connection works: keep the {self.subject}", f"{late}\n{stop}; rm {self.script}"
        )
