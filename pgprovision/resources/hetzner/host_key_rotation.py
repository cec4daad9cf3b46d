"""A host key that only the server itself has, in place of the one it was born with.

User data is kept by Hetzner and readable on the server, so what came with it is good for the first
contact and no longer. The new key is served and pinned beside the old one before that goes, so at
no moment is there a server whose key is not pinned: a run may be cut off anywhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.quote import sh
from pgprovision.resources.hetzner.host_key import HostKey, Pair
from pgprovision.resources.system.ssh_rollback import SESSION

OWN = "/etc/ssh/ssh_host_ed25519_key"
# As "TYPE BASE64"; cloud-init ends its file without a newline.
PUBLIC_KEYS = Ask("awk '{ print $1, $2 }' /etc/ssh/ssh_host_*_key.pub 2>/dev/null || :")
_RELOAD = "sshd -t; systemctl try-reload-or-restart ssh.service"


@dataclass(frozen=True, kw_only=True)
class _Taking(Resource):
    """What both halves have to see: the server's public keys, the controller's pins and pair."""

    born: HostKey
    keys: tuple[str, ...] = ()
    pair: Pair | None = None

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.born.node, PUBLIC_KEYS), Need(self.born.on, self.born.probe()))

    def settled(self, facts: Facts) -> Self:
        served = facts.get(self.born.node, PUBLIC_KEYS)
        held = facts.get(self.born.on, self.born.probe())
        return replace(
            self,
            keys=tuple(served.text.splitlines()) if served else (),
            pair=self.born.pair(held) if held else None,
        )

    @property
    def own(self) -> str:
        return next((key for key in self.keys if key.startswith("ssh-ed25519 ")), "")

    @property
    def own_is_pinned(self) -> bool:
        return bool(self.own and self.pair and self.own in self.pair.pins)

    @property
    def old(self) -> str:
        """The key it was born with, while the server has it beside its own."""
        public = self.pair.public if self.pair else ""
        return public if public in self.keys and public != self.own else ""


@dataclass(frozen=True, kw_only=True)
class OwnHostKey(_Taking):
    """On the server: an ed25519 key of its own, and when that is pinned only that."""

    kind: ClassVar[str] = "own host key"

    @property
    def name(self) -> str:
        return OWN

    def probe(self) -> Ask:
        return PUBLIC_KEYS

    def read(self, answer: Answer) -> State:
        return {"own": bool(self.own), "born": bool(self.old)}

    def desired(self) -> State:
        return {"own": True, "born": False} if self.own_is_pinned else {"own": True}

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.moved("own"):
            yield Do(f"make a host key of its own for {self.on}", self._make(), reconnects=True)
        elif diff.moved("born"):
            why = f"give up the host key that {self.on} was born with"
            yield Do(why, self._give_up(), reconnects=True)

    def _make(self) -> str:
        new = f"{OWN}.new"
        return (
            f"set -e; umask 077; rm -f {new} {new}.pub\n"
            f"ssh-keygen -q -t ed25519 -N '' -C {sh(self.on)} -f {new}\n"
            f"chmod 644 {new}.pub; sync {new} {new}.pub\n"
            f"mv {new} {OWN}; mv {new}.pub {OWN}.pub\n{_RELOAD}"
        )

    def _give_up(self) -> str:
        """Only when the own key is really served; the public half goes last: while it is there,
        this is not finished."""
        own, old = (sh(key.partition(" ")[2]) for key in (self.own, self.old))
        scan = 'ssh-keyscan -T 5 -t ed25519 -p "$port" "$address" 2>/dev/null'
        return (
            f"set -e; set -- $({SESSION.text}); address=$3 port=$4\n"
            f"served() {{\n  for _ in 1 2 3 4 5 6; do\n"
            f"    {scan} | grep -qF {own} && return; sleep 0.5\n  done\n"
            f'  echo "sshd does not serve {OWN}: see HostKey in sshd -T" >&2; return 1\n}}\n'
            f"{_RELOAD}; served\n"
            f"public=$(grep -lF {old} /etc/ssh/ssh_host_*_key.pub)\n"
            f'rm -f "${{public%.pub}}"; {_RELOAD}; sleep 0.5; served; rm "$public"'
        )


@dataclass(frozen=True, kw_only=True)
class OwnPin(_Taking):
    """On the controller: the server's own key is pinned; the pair it was born with is forgotten
    when the server has given it up."""

    kind: ClassVar[str] = "pin of own host key"
    on: str = "here"

    @property
    def name(self) -> str:
        return self.born.node

    def probe(self) -> Ask:
        return self.born.probe()

    def read(self, answer: Answer) -> State:
        return {"own": self.own_is_pinned, "born": bool(self.pair and self.pair.mode)}

    def desired(self) -> State:
        if not self.own:
            return {}  # nothing to pin yet
        return {"own": True} if self.old else {"own": True, "born": False}

    def change(self, diff: Diff) -> Iterable[Do]:
        public = self.pair.public if self.pair else ""
        if diff.moved("own"):
            why = f"pin {self.name}'s own host key in {self.born.known_hosts}"
            yield Do(why, f"set -e; {self.born.pin(sh(self.own))}")
        elif diff.moved("born"):
            unpin = f"{self.born.unpin(public)}\n" if public not in ("", self.own) else ""
            why = f"forget the host key that {self.name} was born with"
            yield Do(why, f"set -e; {unpin}rm {sh(self.born.file)}")
