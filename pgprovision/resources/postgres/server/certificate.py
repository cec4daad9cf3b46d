"""A node's server key and certificate: created on the node, signed by the cluster's CA."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from pgprovision import tls
from pgprovision.engine.model import Action, Answer, Diff, Probe, Resource, State, WithNotes
from pgprovision.quote import sh
from pgprovision.resources.system.deferred_action import deferred
from pgprovision.resources.system.file import File
from pgprovision.secret import Secret


@dataclass(frozen=True, kw_only=True)
class ServerKey(Resource):
    """The private key, created once on the host that uses it. PostgreSQL requires mode 0600."""

    kind: ClassVar[str] = "server key"
    path: str
    owner: str = "postgres"

    @property
    def name(self) -> str:
        return self.path

    def probe(self) -> Probe:
        path = sh(self.path)
        return Probe(f"[ -s {path} ] || exit 4; stat -c '%04a %U' {path}")

    def read(self, answer: Answer) -> State | None:
        if answer.code == 4:
            return None
        mode, owner = answer.text.split()
        return {"mode": mode, "owner": owner}

    def desired(self) -> State:
        return {"mode": "0600", "owner": self.owner}

    def change(self, diff: Diff) -> Iterable[Action]:
        path, new = sh(self.path), sh(self.path + ".new")
        if diff.before is None:
            yield Action(
                f"make the private key {self.path}",
                f"set -e; umask 077; rm -f {new}\n"
                f"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {new}\n"
                f"chown {sh(self.owner)}: {new}; sync {new}; mv -fT {new} {path}",
            )
        else:
            yield Action(
                f"private key {self.path}: mode and owner",
                f"chown {sh(self.owner)}: {path} && chmod 0600 {path}",
            )


@dataclass(frozen=True, kw_only=True)
class Certificate(Resource, WithNotes):
    """The certificate for the key at `key_path`, renewed 60 days before its end."""

    kind: ClassVar[str] = "certificate"
    path: str
    key_path: str
    names: tuple[str, ...]
    ca_key: Secret
    ca_certificate: str
    """One or more certificates in PEM; the one of `ca_key` signs."""
    now: datetime
    """The controller's clock, given so that the resource stays a pure value."""
    owner: str = "postgres"

    @property
    def name(self) -> str:
        return self.path

    def probe(self) -> Probe:
        path, key = sh(self.path), sh(self.key_path)
        return Probe(
            f"[ -s {key} ] && openssl pkey -in {key} -pubout || exit 5\n"
            f"[ ! -s {path} ] || cat {path}"
        )

    def read(self, answer: Answer) -> State | None:
        if answer.code:
            return None  # there is no key yet
        marker = "-----BEGIN CERTIFICATE-----"
        public_key, found, rest = answer.text.partition(marker)
        state: dict[str, str | bool | tuple[str, ...]] = {"public_key": public_key.strip()}
        if found:
            issued_by_ca, names, (begin, end), certified = tls.inspect_certificate(
                found + rest, self.ca_key, self.ca_certificate
            )
            state["issued_by_ca"] = issued_by_ca
            state["names"] = tuple(sorted(names))
            state["for_this_key"] = certified.strip() == public_key.strip()
            expiring = end - self.now < tls.RENEW_BEFORE and end < self._ca_end
            state["renewal_due"] = expiring or begin > self.now  # signed by a clock that was ahead
        return state

    @property
    def _ca_end(self) -> datetime:
        return tls.authority_expiry(self.ca_key, self.ca_certificate)

    def notes(self, state: State) -> tuple[str, ...]:
        if self._ca_end - self.now > tls.RENEW_AUTHORITY_BEFORE:
            return ()
        return (f"the cluster's CA ends on {self._ca_end:%Y-%m-%d}: pgprovision ca renew",)

    def desired(self) -> State:
        return {
            "issued_by_ca": True,
            "names": tuple(sorted(self.names)),
            "for_this_key": True,
            "renewal_due": False,
        }

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.before is None:  # only in a plan: the tier before this one creates the key
            why = f"certificate {self.path} for {', '.join(self.names)}"
            yield deferred(why, "there is no key to certify yet")
            return
        key = str(diff.before["public_key"]) + "\n"
        signed = tls.issue_server_certificate(
            self.ca_key, self.ca_certificate, key, self.names, self.now
        )
        file = File(on=self.on, path=self.path, content=signed, owner=self.owner, group=self.owner)
        yield Action(
            f"certificate {self.path} for {', '.join(self.names)}",
            file.write_command(),
            signed.encode(),
        )
