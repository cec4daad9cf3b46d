"""The SSH host key a new server is born with, so that the very first contact is verified.

Hetzner's API never tells a server's host key. So the controller makes one, hands it over as user
data, and pins its public half in the inventory's known_hosts under the node's name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from typing import ClassVar

from pgprovision.model import Answer, Ask, Diff, Do, Resource, State
from pgprovision.quote import sh
from pgprovision.secret import Secret


@dataclass(frozen=True)
class Pair:
    """What the controller holds. `public` and `pinned` are "TYPE BASE64", empty where absent."""

    mode: str
    public: str
    pinned: str
    private: Secret


@dataclass(frozen=True, kw_only=True)
class HostKey(Resource):
    """An ed25519 pair under `folder`, and its line in `known_hosts`.

    Once pinned, the private half may go: a server that has since changed its key is pinned to the
    new one, and only a server that is still to be made needs the pair.
    """

    kind: ClassVar[str] = "host key"
    on: str = "here"
    node: str
    folder: str
    known_hosts: str
    absent: bool = False

    @property
    def name(self) -> str:
        return self.node

    @property
    def file(self) -> str:
        return str(PurePath(self.folder) / self.node)

    def probe(self) -> Ask:
        file, hosts = sh(self.file), sh(self.known_hosts)
        by_name = sh(f'$1 == "{self.node}" {{ print $2, $3; exit }}')
        return Ask(
            f"[ ! -f {hosts} ] || awk {by_name} {hosts}; echo\n"
            f"[ -f {file} ] || exit 0\n"
            f"stat -c %04a {file}; ssh-keygen -y -f {file} </dev/null && cat {file}"
        )

    def pair(self, answer: Answer) -> Pair:
        """What the probe found."""
        pinned, _, rest = answer.text.partition("\n")
        if pinned:
            rest = rest.removeprefix("\n")
        mode, _, rest = rest.partition("\n")
        public, _, private = rest.partition("\n")
        return Pair(mode, " ".join(public.split()[:2]), pinned, Secret(private, self.file))

    @property
    def unmade(self) -> Pair:
        """What the controller holds before the pair is made."""
        return Pair("", "", "", Secret("", self.file))

    def read(self, answer: Answer) -> State | None:
        pair = self.pair(answer)
        if not pair.pinned and not pair.public:
            return None
        return {"mode": pair.mode or "0600", "pinned": bool(pair.pinned)}

    def desired(self) -> State | None:
        return None if self.absent else {"mode": "0600", "pinned": True}

    def change(self, diff: Diff) -> Iterable[Do]:
        if self.absent:
            yield Do(f"forget {self}", self._forget())
            return
        if diff.before is None:
            yield Do(f"make {self}", self._make())
        elif diff.moved("mode"):
            yield Do(f"set the mode of {self.file}", sh("chmod", "0600", self.file))
        if diff.moved("pinned"):
            yield Do(f"pin {self} in {self.known_hosts}", self._pin())

    def _make(self) -> str:
        new = sh(f"{self.file}.new")
        remark = sh("-C", self.node)
        return (
            f"set -e; umask 077; mkdir -p {sh(self.folder)}; rm -f {new} {new}.pub\n"
            f"ssh-keygen -q -t ed25519 -N '' {remark} -f {new}\n"
            f"rm {new}.pub; sync {new}; mv -fT {new} {sh(self.file)}"
        )

    def _forget(self) -> str:
        name, hosts = sh(self.node), sh(self.known_hosts)
        return (
            f"set -e; rm -f {sh(self.file)}; [ -f {hosts} ] || exit 0\n"
            f"ssh-keygen -q -R {name} -f {hosts}; rm -f {hosts}.old"
        )

    def _pin(self) -> str:
        hosts = sh(self.known_hosts)
        return (
            f"set -e; umask 077; touch {hosts}; key=$(ssh-keygen -y -f {sh(self.file)})\n"
            f'[ -z "$(tail -c1 {hosts})" ] || echo >>{hosts}\n'
            f"printf '%s %s\\n' {sh(self.node)} \"$key\" >>{hosts}; sync {hosts}"
        )


def user_data(pair: Pair) -> Secret:
    """cloud-config that gives a new server this host key and no other."""
    file = pair.private.source
    public = Secret(pair.public, f"!command {sh('ssh-keygen', '-y', '-f', file)}")
    lines = "\n    ".join(pair.private.text().splitlines())

    def text(private: str, public: str) -> str:
        return (
            "#cloud-config\nssh_deletekeys: true\nssh_keys:\n"
            f"  ed25519_private: |\n    {private}\n  ed25519_public: {public}\n"
        )

    return Secret(text(lines, pair.public), file, text(pair.private.shown, public.shown))
