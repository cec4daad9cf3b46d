"""The first SSH host key of a new server, so that the first connection is verified.

Hetzner's API does not show a server's host key. So the controller creates one, passes it to the
server as user data, and pins its public half in the inventory's known_hosts under the node's name.
Hetzner keeps user data, so this key is only for the first connection: see `host_key_rotation`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePath
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
from pgprovision.hetzner_labels import find_object, has_cluster_labels
from pgprovision.quote import sh
from pgprovision.resources.hetzner.hetzner_resource import HETZNER
from pgprovision.secret import Secret

SERVERS_PROBE = Probe("servers")


@dataclass(frozen=True)
class HostKeyPair:
    """The key pair and pins on the controller. Keys are "TYPE BASE64"."""

    mode: str
    """The key file's mode; empty where there is no file."""
    public: str
    """The public half; empty where it is not readable."""
    pins: tuple[str, ...]
    """What the node is pinned to."""
    private: Secret

    @property
    def rotated(self) -> bool:
        """Whether the pinned server had a key of its own."""
        return bool(self.pins) and not self.mode


@dataclass(frozen=True, kw_only=True)
class HostKey(Resource, WithNeeds):
    """An ECDSA key pair under `folder`, and its line in `known_hosts`. The server's own key will be
    ed25519, so both can be served and pinned at the same time.

    Needed until a server has a key of its own. For a server that is not created yet it is the only
    pin, whatever an earlier server of this name was pinned to.
    """

    kind: ClassVar[str] = "host key"
    on: str = "controller"
    cluster: str
    node: str
    folder: str
    known_hosts: str
    absent: bool = False
    server_exists: bool = True

    @property
    def name(self) -> str:
        return self.node

    @property
    def key_file(self) -> str:
        return str(PurePath(self.folder) / self.node)

    def probe(self) -> Probe:
        file, hosts = sh(self.key_file), sh(self.known_hosts)
        by_name = sh(f'$1 == "{self.node}" {{ print $2, $3 }}')
        return Probe(
            f"[ ! -f {hosts} ] || awk {by_name} {hosts}; echo\n"
            f"[ -f {file} ] || exit 0\n"
            f"stat -c %04a {file}; ssh-keygen -y -f {file} </dev/null && cat {file}"
        )

    def parse_pair(self, answer: Answer) -> HostKeyPair:
        """The pair and pins in an answer."""
        pins, _, rest = f"\n{answer.text}".partition("\n\n")
        mode, _, rest = rest.partition("\n")
        public, _, private = rest.partition("\n")
        known = tuple(pins.strip().splitlines())
        return HostKeyPair(
            mode, " ".join(public.split()[:2]), known, Secret(private, self.key_file)
        )

    @property
    def empty_pair(self) -> HostKeyPair:
        """The state before the pair is created."""
        return HostKeyPair("", "", (), Secret("", self.key_file))

    def needs(self) -> tuple[Need, ...]:
        return (Need(HETZNER, SERVERS_PROBE),)

    def resolved(self, facts: Facts) -> Self:
        answer = facts.get(HETZNER, SERVERS_PROBE)
        server = find_object(answer.items, self.node) if answer else None
        exists = answer is None or (server is not None and has_cluster_labels(server, self.cluster))
        return replace(self, server_exists=exists)

    def read(self, answer: Answer) -> State | None:
        pair = self.parse_pair(answer)
        if self.absent:
            return {"pinned": True} if pair.pins or pair.mode else None
        if self.server_exists and not pair.pins and not pair.mode:
            raise Refused(
                f"its server exists, and its host key is not known here: {self.key_file} "
                f"and the line of {self.node} in {self.known_hosts} are missing",
                next="restore the inventory's secrets/ from where you keep a copy of it",
            )
        if not pair.mode and not self.server_exists:
            return None
        exact = not self.server_exists and pair.public  # a key file open to others is not read
        pinned = pair.pins == (pair.public,) if exact else bool(pair.pins)
        return {"mode": pair.mode or "0600", "pinned": pinned}

    def desired(self) -> State | None:
        return None if self.absent else {"mode": "0600", "pinned": True}

    def change(self, diff: Diff) -> Iterable[Action]:
        if self.absent:
            yield Action(f"forget {self}", self._forget())
            return
        if diff.before is None:
            yield Action(f"make {self}", self._make())
        elif diff.changed("mode"):
            yield Action(f"set the mode of {self.key_file}", sh("chmod", "0600", self.key_file))
        if diff.changed("pinned"):
            yield Action(f"pin {self} in {self.known_hosts}", self._pin())

    def _make(self) -> str:
        new = sh(f"{self.key_file}.new")
        comment_option = sh("-C", self.node)
        return (
            f"set -e; umask 077; mkdir -p {sh(self.folder)}; rm -f {new} {new}.pub\n"
            f"ssh-keygen -q -t ecdsa -N '' {comment_option} -f {new}\n"
            f"rm {new}.pub; sync {new}; mv -fT {new} {sh(self.key_file)}"
        )

    def _forget(self) -> str:
        return f"set -e; {self.unpin()}\nrm -f {sh(self.key_file)}"

    def _pin(self) -> str:
        """Removes what an earlier server of this name was pinned to, unless that server exists."""
        forget = "" if self.server_exists else f"{self.unpin()}\n"
        read = f"key=$(ssh-keygen -y -f {sh(self.key_file)})"
        pin = self.pin('"$key"')
        return f"set -e; {read}\n{forget}{pin}"

    def pin(self, key: str) -> str:
        """Shell text that adds a pin. `key` is a shell word."""
        hosts = sh(self.known_hosts)
        return (
            f'umask 077; touch {hosts}; [ -z "$(tail -c1 {hosts})" ] || echo >>{hosts}\n'
            f"printf '%s %s\\n' {sh(self.node)} {key} >>{hosts}; sync {hosts}"
        )

    def unpin(self, key: str = "") -> str:
        """Shell text that removes one of the node's pins, or all of them."""
        hosts, new = sh(self.known_hosts), sh(f"{self.known_hosts}.new")
        condition = f'$1 == "{self.node}"' + (f' && $2 " " $3 == "{key}"' if key else "")
        program = sh(f"{condition} {{ next }} {{ print }}")
        return (
            f"umask 077; [ ! -f {hosts} ] || "
            f"{{ awk {program} {hosts} >{new}; sync {new}; mv -fT {new} {hosts}; }}"
        )


def user_data(pair: HostKeyPair) -> Secret:
    """cloud-config that gives a new server this host key and no other."""
    file = pair.private.source
    public = Secret(pair.public, f"!command {sh('ssh-keygen', '-y', '-f', file)}")
    lines = "\n    ".join(pair.private.text().splitlines())
    kind = "ed25519" if pair.public.startswith("ssh-ed25519 ") else "ecdsa"

    def text(private: str, public: str) -> str:
        return (
            "#cloud-config\nssh_deletekeys: true\nssh_keys:\n"
            f"  {kind}_private: |\n    {private}\n  {kind}_public: {public}\n"
        )

    return Secret(text(lines, pair.public), file, text(pair.private.redacted, public.redacted))
