"""The host's own firewall: the cloud firewall does not filter the private network.

One nftables table; others stay as they are. The desired rules are loaded in an empty network
namespace and listed there by nft, and the two listings are compared. So any rule that was added,
removed or changed by hand differs, whatever the template looks like.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
)
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
from pgprovision.resources.system.ssh_rollback import (
    SSH_SESSION_PROBE,
    ConfirmedChange,
    SshSession,
    parse_ssh_session,
)

RULES_FILE = "/etc/pgprovision/nftables.conf"
TABLE = "inet pgprovision"
_LIST = f"nft -s list table {TABLE}"
_CHANGE = ConfirmedChange("firewall")


@dataclass(frozen=True)
class FirewallOpening:
    """Ports that are open to some networks."""

    purpose: str
    ports: tuple[int, ...]
    sources: tuple[IPv4Network | IPv6Network, ...]
    protocol: str = "tcp"
    address: IPv4Address | IPv6Address | None = None
    """The address of the host that they are open on; None: all."""

    @property
    def matches(self) -> tuple[str, ...]:
        """The sources as nftables matches; one per family, overlaps joined."""
        v4 = collapse_addresses(n for n in self.sources if isinstance(n, IPv4Network))
        v6 = collapse_addresses(n for n in self.sources if isinstance(n, IPv6Network))
        families = (("ip", "ipv4", list(v4)), ("ip6", "ipv6", list(v6)))
        matches = (
            (family, _match(family, protocol, sources))
            for family, protocol, sources in families
            if sources
        )
        if self.address is None:
            return tuple(match for _, match in matches)
        own = "ip" if self.address.version == 4 else "ip6"
        return tuple(
            f"{match} {own} daddr {self.address}" for family, match in matches if family == own
        )


def _match(family: str, protocol: str, networks: Iterable[IPv4Network | IPv6Network]) -> str:
    networks = list(networks)
    if any(network.prefixlen == 0 for network in networks):
        return f"meta nfproto {protocol}"
    return f"{family} saddr {{ {', '.join(map(str, networks))} }}"


@dataclass(frozen=True, kw_only=True)
class HostFirewall(Resource, WithNeeds):
    """Our table as it is in the kernel, confirmed by a new connection, and as it will be after a
    reboot."""

    kind: ClassVar[str] = "host firewall"
    text: str
    """The rules, as nft reads them."""
    ssh: FirewallOpening
    """The opening for SSH. Refused where it would lock out this session."""
    normalized_rules: str = ""
    """A fact: the rules as nft lists them."""
    ssh_session: SshSession | None = None

    @property
    def name(self) -> str:
        return TABLE

    def probe(self) -> Probe:
        return Probe(
            f"{_CHANGE.status_command()}\n[ ! -e {RULES_FILE} ] || cat {RULES_FILE}\n"
            f"echo; echo ===\n{_LIST}"
        )

    @property
    def _normalized_probe(self) -> Probe:
        inside = sh("unshare", "-n", "sh", "-c", f"nft -f - && {_LIST}")
        return Probe(f"command -v nft >/dev/null || exit 0\nprintf %s {sh(self.text)} | {inside}")

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, self._normalized_probe), Need(self.on, SSH_SESSION_PROBE))

    def resolved(self, facts: Facts) -> Self:
        meaning, ssh_answer = (
            facts.get(self.on, self._normalized_probe),
            facts.get(self.on, SSH_SESSION_PROBE),
        )
        if meaning is not None and meaning.code:
            message = meaning.err.decode(errors="replace").strip()
            raise Refused(
                f"nft does not accept the rules: {message}",
                next="correct nftables.conf.j2 in the inventory's templates/",
            )
        return replace(
            self,
            normalized_rules=meaning.text.strip() if meaning else "",
            ssh_session=parse_ssh_session(ssh_answer.text) if ssh_answer else None,
        )

    def read(self, answer: Answer) -> State | None:
        self._refuse_to_lock_out()
        head, _, live = answer.text.partition("\n===\n")
        proof, _, saved = head.partition("\n")
        if not live.strip() and not saved.strip():
            return None
        return {
            "rules": live.strip(),
            "proven": proof == "proven",
            "at the next boot": saved or None,
        }

    def desired(self) -> State:
        return {
            "rules": self.normalized_rules or self.text,
            "proven": True,
            "at the next boot": self.text,
        }

    def change(self, diff: Diff) -> Iterable[Action]:
        before = diff.before or {}
        if diff.changed("rules"):
            yield Action(
                "load the host firewall", self._load(), self.text.encode(), reconnects=True
            )
            return  # saved once it is proven
        if diff.changed("proven"):
            yield _CHANGE.confirm()
        if diff.changed("at the next boot"):
            saved = File(on=self.on, path=RULES_FILE, content=self.text)
            verb = "keep" if before.get("at the next boot") is None else "correct"
            yield Action(
                f"{verb} the rules for the next boot", saved.write_command(), self.text.encode()
            )

    def _load(self) -> str:
        return (
            "set -e; rules=$(cat)\n"
            "printf '%s\\n' \"$rules\" | nft -c -f -\n"
            "undo() {\n"
            f"  echo \"nft -f - <<'END'\"; echo 'table {TABLE}'; echo 'delete table {TABLE}'\n"
            f"  {_LIST} 2>/dev/null || :; echo END\n"
            "}\n"
            f"{_CHANGE.arm_command()}\n"
            "printf '%s\\n' \"$rules\" | nft -f -"
        )

    def _refuse_to_lock_out(self) -> None:
        current = self.ssh_session
        if current is None:
            return
        address = ip_address(current.address)
        wrong = ""
        if not any(address in network for network in self.ssh.sources):
            ranges = ", ".join(map(str, self.ssh.sources))
            wrong = f"it comes from {address}, and SSH is open to {ranges}"
            advice = f"add {address}/{address.max_prefixlen} to host.ssh_source_ips"
        elif current.port not in self.ssh.ports:
            wrong = f"it uses port {current.port}, and SSH is open on {self.ssh.ports}"
            advice = f"set ssh.port, or open port {current.port} under host.open_ports"
        if wrong:
            raise Refused(
                f"the declared host firewall would lock out this session: {wrong}",
                next=advice,
            )
