"""The SSH daemon, judged by its effective configuration (`sshd -T`), not by its files.

sshd uses the first value it reads, so the file here sorts before all others of its directory.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Action,
    Answer,
    Diff,
    Facts,
    Need,
    Probe,
    Resource,
    State,
    WithNeeds,
)
from pgprovision.errors import Refused
from pgprovision.quote import sh
from pgprovision.resources.system.file import File
from pgprovision.resources.system.ssh_rollback import ConfirmedChange

CONFIG_FILE = "/etc/ssh/sshd_config.d/00-pgprovision.conf"
_CHANGE = ConfirmedChange("sshd")
_RELOAD = "systemctl try-reload-or-restart ssh.service"
# sshd writes its pid file when it has read its configuration and listens; before it reads it
# again it removes the file.
_UNREAD = '[ -n "$(find /etc/ssh/sshd_config* -newer /run/sshd.pid 2>/dev/null)" ]'
_HAD = "had=; [ ! -e /run/sshd.pid ] || had=/run/sshd.pid"
_LISTENS = (
    '[ -z "$had" ] || for _ in $(seq 50); do\n'
    f'  [ ! -e "$had" ] || {_UNREAD} || exit 0; sleep 0.2\ndone; [ -z "$had" ]'
)


@dataclass(frozen=True, kw_only=True)
class SshDaemon(Resource, WithNeeds):
    """Directives in a file of ours, in effect, and confirmed by a new connection."""

    kind: ClassVar[str] = "SSH daemon"
    text: str
    expected_directives: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return CONFIG_FILE

    @property
    def _names(self) -> frozenset[str]:
        rows = (line.split() for line in self.text.splitlines())
        return frozenset(w[0].lower() for w in rows if w and not w[0].startswith("#"))

    def probe(self) -> Probe:
        return Probe(
            f"{_CHANGE.status_command()}\n{_UNREAD} && echo unread || echo read\n"
            f"sshd -T || exit\necho ===\n[ ! -f {CONFIG_FILE} ] || cat {CONFIG_FILE}"
        )

    @property
    def _expected_probe(self) -> Probe:
        return Probe(f"printf %s {sh(self.text)} | sshd -T -f /dev/stdin")

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, self._expected_probe),)

    def resolved(self, facts: Facts) -> Self:
        meaning = facts.get(self.on, self._expected_probe)
        if meaning is None:
            return self
        if meaning.code:
            message = meaning.err.decode(errors="replace").strip()
            raise Refused(
                f"sshd does not accept its configuration: {message}",
                next="correct sshd.conf.j2 in the inventory's templates/",
            )
        return replace(self, expected_directives=tuple(self._directives(meaning.text).items()))

    def read(self, answer: Answer) -> State | None:
        if answer.code:
            message = answer.err.decode(errors="replace").strip()
            raise Refused(f"sshd cannot read its own files: {message}", next="sshd -t")
        head, _, content = answer.text.partition("===\n")
        proof, reading, directives = head.split("\n", 2)
        return {
            **self._directives(directives),
            "content": content,
            "loaded": reading == "read",
            "proven": proof == "proven",
        }

    def _directives(self, text: str) -> dict[str, str]:
        pairs = (line.partition(" ") for line in text.splitlines())
        return {name: value for name, _, value in pairs if name in self._names}

    def desired(self) -> State:
        return {
            **dict(self.expected_directives),
            "content": self.text,
            "loaded": True,
            "proven": True,
        }

    def change(self, diff: Diff) -> Iterable[Action]:
        """Where another file wins over ours, nothing can be done: it is reported."""
        if diff.changed("content", "loaded"):
            write = File(on=self.on, path=CONFIG_FILE, content=self.text).write_command()
            undo = (
                f"undo() {{ if [ -f {CONFIG_FILE} ]; then\n"
                f"  echo \"cat >{CONFIG_FILE} <<'END'\"; cat {CONFIG_FILE}; echo END\n"
                f"else echo 'rm -f {CONFIG_FILE}'; fi; echo '{_RELOAD}'; }}"
            )
            yield Action(
                "harden the SSH daemon" if diff.changed("content") else "reload the SSH daemon",
                f"set -e\n{undo}\n{_CHANGE.arm_command()}\n{write}\nsshd -t\n"
                f"{_HAD}\n{_RELOAD}\n{_LISTENS}",
                self.text.encode(),
                reconnects=True,
            )
        elif diff.changed("proven"):
            yield _CHANGE.confirm()
