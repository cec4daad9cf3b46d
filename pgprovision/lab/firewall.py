"""The cloud firewall: nftables in the lab's router, on the public side only, stateful.

As at Hetzner: with a firewall, inbound traffic that no rule allows is dropped; outbound traffic
is dropped only if there are outbound rules and none allows it; established connections pass.
"""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network

from pgprovision.lab.command import run
from pgprovision.lab.hypervisor import LabFirewallRule

_ANYWHERE = [IPv4Network("0.0.0.0/0")], [IPv6Network("::/0")]
_MATCH = {
    "icmp": "meta l4proto { icmp, icmpv6 }",
    "esp": "meta l4proto esp",
    "gre": "meta l4proto gre",
}

RulesByAddress = Mapping[
    tuple[str, ...], tuple[LabFirewallRule, ...]
]  # by a server's public addresses


def apply_rules(router: str, rules: RulesByAddress) -> None:
    """Replace the whole rule set in one transaction."""
    run("ip", "netns", "exec", router, "nft", "-f", "-", stdin=ruleset(rules))


def ruleset(rules: RulesByAddress) -> str:
    """What nft reads: one chain per direction and server that has a firewall."""
    chains: list[str] = []
    jumps: list[str] = []
    for number, (addresses, server_rules) in enumerate(sorted(rules.items())):
        inbound = [line for rule in server_rules if rule.direction == "in" for line in _lines(rule)]
        jumps += [f"{_match(address, 'daddr')} jump in{number}" for address in addresses]
        chains.append(_chain(f"in{number}", inbound))
        if any(rule.direction == "out" for rule in server_rules):
            outbound = [
                line for rule in server_rules if rule.direction == "out" for line in _lines(rule)
            ]
            # A packet to another server must also pass that one's inbound chain: `return`, not
            # `accept`, and the drops below come first.
            jumps += [f"{_match(address, 'saddr')} jump out{number}" for address in addresses]
            chains.append(_chain(f"out{number}", outbound))
    forward = [
        "type filter hook forward priority 0; policy accept;",
        "ct state established,related accept",
        *jumps,
    ]
    body = "\n".join([*chains, _block("chain forward", forward)])
    return f"table inet cloud\ndelete table inet cloud\ntable inet cloud {{\n{body}\n}}\n"


def _match(network: str, side: str) -> str:
    return f"{'ip6' if ':' in network else 'ip'} {side} {network}"


def _lines(rule: LabFirewallRule) -> list[str]:
    """The rule as nftables lines, one for IPv4 and one for IPv6."""
    networks = [ip_network(ip, strict=False) for ip in rule.ips]
    v4 = list(collapse_addresses(n for n in networks if isinstance(n, IPv4Network)))
    v6 = list(collapse_addresses(n for n in networks if isinstance(n, IPv6Network)))
    match = _MATCH.get(rule.protocol) or _port_match(rule)
    if (v4, v6) == _ANYWHERE:
        return [f"{match} return"]
    side = "saddr" if rule.direction == "in" else "daddr"
    return [
        f"{family} {side} {{ {', '.join(map(str, found))} }} {match} return"
        for family, found in (("ip", v4), ("ip6", v6))
        if found
    ]


def _port_match(rule: LabFirewallRule) -> str:
    if rule.port in (None, "any"):
        return f"meta l4proto {rule.protocol}"
    return f"{rule.protocol} dport {rule.port}"


def _chain(name: str, lines: list[str]) -> str:
    return _block(f"chain {name}", [*lines, "drop"])


def _block(head: str, lines: list[str]) -> str:
    return "\n".join([f"  {head} {{", *(f"    {line}" for line in lines), "  }"])
