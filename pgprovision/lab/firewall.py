"""The cloud firewall: nftables in the lab's router, on the public side only, stateful.

As at Hetzner: with a firewall, inbound traffic that no rule allows is dropped; outbound traffic
is dropped only if there are outbound rules and none allows it; established connections pass.
"""

from collections.abc import Mapping
from ipaddress import IPv4Network, collapse_addresses, ip_network

from pgprovision.lab.command import run
from pgprovision.lab.hypervisor import Rule

_MATCH = {"icmp": "meta l4proto icmp", "esp": "meta l4proto esp", "gre": "meta l4proto gre"}


def apply(router: str, rules: Mapping[str, tuple[Rule, ...]]) -> None:
    """Replace the whole rule set in one transaction; `rules` by public address."""
    run("ip", "netns", "exec", router, "nft", "-f", "-", stdin=ruleset(rules))


def ruleset(rules: Mapping[str, tuple[Rule, ...]]) -> str:
    """What nft reads: one chain per direction and server that has a firewall."""
    chains: list[str] = []
    jumps: list[str] = []
    for number, (address, wanted) in enumerate(sorted(rules.items())):
        inbound = [line for rule in wanted if rule.direction == "in" for line in _lines(rule)]
        jumps.append(f"ip daddr {address} jump in{number}")
        chains.append(_chain(f"in{number}", inbound))
        if any(rule.direction == "out" for rule in wanted):
            outbound = [line for rule in wanted if rule.direction == "out" for line in _lines(rule)]
            # A packet to another server must also pass that one's inbound chain: `return`, not
            # `accept`, and the drops below come first.
            jumps.append(f"ip saddr {address} jump out{number}")
            chains.append(_chain(f"out{number}", outbound))
    forward = [
        "type filter hook forward priority 0; policy accept;",
        "ct state established,related accept",
        *jumps,
    ]
    body = "\n".join([*chains, _block("chain forward", forward)])
    return f"table ip cloud\ndelete table ip cloud\ntable ip cloud {{\n{body}\n}}\n"


def _lines(rule: Rule) -> list[str]:
    """The rule as nftables lines; none if all its addresses are IPv6, which the lab has not."""
    networks = [ip_network(ip, strict=False) for ip in rule.ips]
    v4 = list(collapse_addresses(n for n in networks if isinstance(n, IPv4Network)))
    if not v4:
        return []
    match = _MATCH.get(rule.protocol) or _port_match(rule)
    if v4 == [IPv4Network("0.0.0.0/0")]:
        return [f"{match} return"]
    side = "saddr" if rule.direction == "in" else "daddr"
    return [f"ip {side} {{ {', '.join(map(str, v4))} }} {match} return"]


def _port_match(rule: Rule) -> str:
    if rule.port in (None, "any"):
        return f"meta l4proto {rule.protocol}"
    return f"{rule.protocol} dport {rule.port}"


def _chain(name: str, lines: list[str]) -> str:
    return _block(f"chain {name}", [*lines, "drop"])


def _block(head: str, lines: list[str]) -> str:
    return "\n".join([f"  {head} {{", *(f"    {line}" for line in lines), "  }"])
