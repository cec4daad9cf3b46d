"""The cloud firewall: what may reach a server's public address. It does not filter the private
network."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import ClassVar, Literal

from pgprovision.engine.model import Action, Answer, Diff, State
from pgprovision.resources.hetzner.hetzner_resource import ApiObject, HetznerResource


@dataclass(frozen=True)
class FirewallRule:
    """Traffic that is allowed. Without a rule for outgoing traffic, all of that is allowed."""

    direction: Literal["in", "out"]
    protocol: Literal["tcp", "udp", "icmp", "esp", "gre"]
    ips: tuple[str, ...]
    port: str | None = None
    description: str | None = None

    def body(self) -> dict[str, object]:
        ends = {"in": "source_ips", "out": "destination_ips"}
        return {
            "direction": self.direction,
            "protocol": self.protocol,
            "port": self.port,
            "description": self.description,
            ends[self.direction]: list(self.ips),
        }


def ssh_rule(ranges: Iterable[str]) -> FirewallRule:
    """Allows SSH from these ranges."""
    return FirewallRule("in", "tcp", tuple(ranges), "22", "SSH")


def _effective(rules: Iterable[FirewallRule]) -> tuple[str, ...]:
    """The effect of the rules, one line per range: two sets of rules with the same effect are
    equal."""
    lines = set()
    for rule in rules:
        port = f" {rule.port}" if rule.port else ""
        word = "from" if rule.direction == "in" else "to"
        for ip in rule.ips:
            lines.add(f"{rule.direction} {rule.protocol}{port} {word} {ip_network(ip)}")
    return tuple(sorted(lines))


def _parse_rule(item: ApiObject) -> FirewallRule:
    ips = item["source_ips"] if item["direction"] == "in" else item["destination_ips"]
    return FirewallRule(item["direction"], item["protocol"], tuple(ips or ()), item.get("port"))


@dataclass(frozen=True, kw_only=True)
class Firewall(HetznerResource):
    """A firewall with exactly these rules: an added rule is drift as well. Each server applies it
    to itself."""

    kind: ClassVar[str] = "firewall"
    collection: ClassVar[str] = "firewalls"
    rules: tuple[FirewallRule, ...]

    def read(self, answer: Answer) -> State | None:
        item = self.find(answer)
        return None if item is None else {"rules": _effective(map(_parse_rule, item["rules"]))}

    def desired(self) -> State:
        return {"rules": _effective(self.rules)}

    def change(self, diff: Diff) -> Iterable[Action]:
        rules = {"rules": [rule.body() for rule in self.rules]}
        if diff.before is None:
            yield self.create(rules)
        else:
            yield self.action(f"set the rules of {self}", "set_rules", rules)
