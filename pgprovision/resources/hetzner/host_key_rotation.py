"""A host key that only the server has, in place of the one from its user data.

User data is kept by Hetzner and readable on the server, so that key is good for the first
connection and no longer. The new key is served and pinned next to the old one before the old one is
removed. So there is never a server without a pinned key, wherever a run is interrupted.
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
from pgprovision.quote import sh
from pgprovision.resources.hetzner.host_key import HostKey, HostKeyPair
from pgprovision.resources.system.ssh_rollback import SSH_SESSION_PROBE

HOST_KEY_FILE = "/etc/ssh/ssh_host_ed25519_key"
# As "TYPE BASE64"; cloud-init ends its file without a newline.
PUBLIC_KEYS_PROBE = Probe("awk '{ print $1, $2 }' /etc/ssh/ssh_host_*_key.pub 2>/dev/null || :")
_RELOAD = "sshd -t; systemctl try-reload-or-restart ssh.service"


@dataclass(frozen=True, kw_only=True)
class _HostKeyRotation(Resource, WithNeeds):
    """The server's public keys, and the controller's pins and key pair."""

    bootstrap_key: HostKey
    server_keys: tuple[str, ...] = ()
    pair: HostKeyPair | None = None

    def needs(self) -> tuple[Need, ...]:
        return (
            Need(self.bootstrap_key.node, PUBLIC_KEYS_PROBE),
            Need(self.bootstrap_key.on, self.bootstrap_key.probe()),
        )

    def resolved(self, facts: Facts) -> Self:
        served = facts.get(self.bootstrap_key.node, PUBLIC_KEYS_PROBE)
        pair_answer = facts.get(self.bootstrap_key.on, self.bootstrap_key.probe())
        return replace(
            self,
            server_keys=tuple(served.text.splitlines()) if served else (),
            pair=self.bootstrap_key.parse_pair(pair_answer) if pair_answer else None,
        )

    @property
    def rotated_key(self) -> str:
        return next((key for key in self.server_keys if key.startswith("ssh-ed25519 ")), "")

    @property
    def rotated_key_pinned(self) -> bool:
        return bool(self.rotated_key and self.pair and self.rotated_key in self.pair.pins)

    @property
    def leftover_bootstrap_key(self) -> str:
        """The first key, while the server has it next to its own."""
        public = self.pair.public if self.pair else ""
        return public if public in self.server_keys and public != self.rotated_key else ""


@dataclass(frozen=True, kw_only=True)
class RotatedHostKey(_HostKeyRotation):
    """On the server: an ed25519 key of its own, and once that is pinned, no other."""

    kind: ClassVar[str] = "rotated host key"

    @property
    def name(self) -> str:
        return HOST_KEY_FILE

    def probe(self) -> Probe:
        return PUBLIC_KEYS_PROBE

    def read(self, answer: Answer) -> State:
        return {
            "rotated_key": bool(self.rotated_key),
            "bootstrap_key": bool(self.leftover_bootstrap_key),
        }

    def desired(self) -> State:
        return (
            {"rotated_key": True, "bootstrap_key": False}
            if self.rotated_key_pinned
            else {"rotated_key": True}
        )

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.changed("rotated_key"):
            yield Action(f"create a host key on {self.on}", self._make(), reconnects=True)
        elif diff.changed("bootstrap_key"):
            why = f"remove the first host key from {self.on}"
            yield Action(why, self._remove_bootstrap_key(), reconnects=True)

    def _make(self) -> str:
        new = f"{HOST_KEY_FILE}.new"
        return (
            f"set -e; umask 077; rm -f {new} {new}.pub\n"
            f"ssh-keygen -q -t ed25519 -N '' -C {sh(self.on)} -f {new}\n"
            f"chmod 644 {new}.pub; sync {new} {new}.pub\n"
            f"mv {new} {HOST_KEY_FILE}; mv {new}.pub {HOST_KEY_FILE}.pub\n{_RELOAD}"
        )

    def _remove_bootstrap_key(self) -> str:
        """Only once the new key is served. The public half is removed last: while it exists, the
        rotation is not finished."""
        own, old = (
            sh(key.partition(" ")[2]) for key in (self.rotated_key, self.leftover_bootstrap_key)
        )
        scan = 'ssh-keyscan -T 5 -t ed25519 -p "$port" "$address" 2>/dev/null'
        return (
            f"set -e; set -- $({SSH_SESSION_PROBE.text}); address=$3 port=$4\n"
            f"served() {{\n  for _ in 1 2 3 4 5 6; do\n"
            f"    {scan} | grep -qF {own} && return; sleep 0.5\n  done\n"
            f'  echo "sshd does not serve {HOST_KEY_FILE}: see HostKey in sshd -T" >&2;'
            " return 1\n}\n"
            f"{_RELOAD}; served\n"
            f"public=$(grep -lF {old} /etc/ssh/ssh_host_*_key.pub)\n"
            f'rm -f "${{public%.pub}}"; {_RELOAD}; sleep 0.5; served; rm "$public"'
        )


@dataclass(frozen=True, kw_only=True)
class RotatedHostKeyPin(_HostKeyRotation):
    """On the controller: the server's own key is pinned; the first pair is deleted once the server
    has removed it."""

    kind: ClassVar[str] = "rotated host key pin"
    on: str = "controller"

    @property
    def name(self) -> str:
        return self.bootstrap_key.node

    def probe(self) -> Probe:
        return self.bootstrap_key.probe()

    def read(self, answer: Answer) -> State:
        return {
            "rotated_key": self.rotated_key_pinned,
            "bootstrap_key": bool(self.pair and self.pair.mode),
        }

    def desired(self) -> State:
        if not self.rotated_key:
            return {}  # nothing to pin yet
        return (
            {"rotated_key": True}
            if self.leftover_bootstrap_key
            else {"rotated_key": True, "bootstrap_key": False}
        )

    def change(self, diff: Diff) -> Iterable[Action]:
        public = self.pair.public if self.pair else ""
        if diff.changed("rotated_key"):
            why = f"pin {self.name}'s rotated host key in {self.bootstrap_key.known_hosts}"
            yield Action(why, f"set -e; {self.bootstrap_key.pin(sh(self.rotated_key))}")
        elif diff.changed("bootstrap_key"):
            unpin = (
                f"{self.bootstrap_key.unpin(public)}\n"
                if public not in ("", self.rotated_key)
                else ""
            )
            why = f"remove the first host key of {self.name} from the controller"
            yield Action(why, f"set -e; {unpin}rm {sh(self.bootstrap_key.key_file)}")
