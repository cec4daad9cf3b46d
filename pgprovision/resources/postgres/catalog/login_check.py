"""A login with its password to a verified server, tried once.

PostgreSQL cannot say whether a password works until somebody logs in with it. So the login is tried
again after each change, and a file on the host records what was proven: a digest of the stored
verifier, the address and the rule. The file reveals nothing about the password.
"""

import hashlib
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
    WithDescription,
    WithNeeds,
)
from pgprovision.quote import sh
from pgprovision.resources.postgres.conninfo import extend
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from pgprovision.resources.system.file import File
from pgprovision.secret import Secret

PROOF_DIRECTORY = "/var/lib/pgprovision/logins"


@dataclass(frozen=True, kw_only=True)
class VerifiedLogin(Resource, WithNeeds, WithDescription):
    """`role` can log in from `on`."""

    kind: ClassVar[str] = "verified login"
    snapshot: SnapshotQuery
    server: str
    """The target that PostgreSQL runs on."""
    role: str
    conninfo: str
    """The connection string, without a password."""
    password: Secret | None = None
    """None: libpq takes it from the passfile that the connection string names."""
    depends_on: str = ""
    """What else the login depends on: when it changes, the login is tried again."""
    verifier: str | None = None
    """A fact: the stored SCRAM verifier."""
    running: bool = True
    """A fact: the server runs."""

    @property
    def name(self) -> str:
        return f"{self.role} on {self.server}"

    @property
    def _proof_file(self) -> str:
        return f"{PROOF_DIRECTORY}/{hashlib.sha256(self.role.encode()).hexdigest()[:16]}"

    def probe(self) -> Probe:
        return Probe(f"cat {sh(self._proof_file)} 2>/dev/null || exit 4")

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.server, self.snapshot.probe()),)

    def resolved(self, facts: Facts) -> Self:
        server = self.snapshot.running_server(facts.get(self.server, self.snapshot.probe()))
        role = server.roles.get(self.role) if server else None
        verifier = role["verifier"] if role else None
        return replace(self, verifier=verifier, running=server is not None)

    def read(self, answer: Answer) -> State | None:
        if answer.code:
            return None
        return {"proven": answer.text.strip()} if self.running else self.desired()

    def desired(self) -> State:
        parts = "\n".join((self.verifier or "", self.conninfo, self.depends_on))
        return {"proven": hashlib.sha256(parts.encode()).hexdigest()[:32]}

    def describe_changes(self, diff: Diff) -> tuple[str, ...]:
        return ("not proven since it changed",) if diff.before else diff.keys

    def change(self, diff: Diff) -> Iterable[Action]:
        proven = f"{self.desired()['proven']}\n"
        write = File(on=self.on, path=self._proof_file, content=proven).write_command()
        yield Action(
            f"log in as {self.role}, as its clients do",
            # The script comes on stdin: a password is in no argument and no environment.
            f"set -e; {self.snapshot.instance.psql()} -o /dev/null\n"
            f"mkdir -p {PROOF_DIRECTORY}\nprintf %s {sh(proven)} | {{ {write}\n}}",
            self._script(),
            timeout=30,
        )

    def _script(self) -> bytes | Secret:
        """psql's script; no part of it is in an argument or the environment."""
        if self.password is None:
            return _connect_command(self.conninfo).encode()
        full_conninfo = extend(self.conninfo, password=self.password.text())
        redacted = f"{self.conninfo} password={self.password.redacted}"
        return Secret(
            _connect_command(full_conninfo), self.password.source, f"\\connect {redacted}\n"
        )


def _connect_command(target: str) -> str:
    """psql's \\connect with every byte of its argument escaped, so that it may have any character.
    psql removes double quotes as from a name, escaped or not, so it is one."""
    name = '"' + target.replace('"', '""') + '"'
    escaped = "".join(f"\\x{byte:02x}" for byte in name.encode())
    return f"\\connect -reuse-previous=off '{escaped}'\n"
