"""The cloud firewall's rules as nftables text."""

from pgprovision.lab.firewall import ruleset
from pgprovision.lab.hypervisor import LabFirewallRule

SERVER = ("198.18.1.10", "2001:db8:a::/64")
ANYWHERE = ("0.0.0.0/0", "::/0")


def chain(text: str, name: str) -> list[str]:
    """The lines of one chain."""
    body = text.split(f"chain {name} {{")[1].split("}\n")[0]
    return [line.strip() for line in body.strip().splitlines() if line.strip() != "}"]


def test_ruleset_when_no_server_has_a_firewall_accepts_all() -> None:
    assert "jump" not in ruleset({})
    assert "policy accept" in ruleset({})


def test_ruleset_when_applied_again_replaces_the_table() -> None:
    assert ruleset({}).startswith("table inet cloud\ndelete table inet cloud\n")


def test_inbound_when_nothing_is_allowed_is_dropped() -> None:
    text = ruleset({SERVER: ()})
    assert "ip daddr 198.18.1.10 jump in0" in text
    assert "ip6 daddr 2001:db8:a::/64 jump in0" in text
    assert chain(text, "in0") == ["drop"]
    assert "out0" not in text


def test_inbound_when_a_port_is_open_to_all_names_no_source() -> None:
    text = ruleset({SERVER: (LabFirewallRule("in", "tcp", "22", ANYWHERE),)})
    assert chain(text, "in0") == ["tcp dport 22 return", "drop"]


def test_inbound_when_sources_overlap_are_merged() -> None:
    sources = ("10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32")
    text = ruleset({SERVER: (LabFirewallRule("in", "udp", "80-85", sources),)})
    assert chain(text, "in0") == [
        "ip saddr { 10.0.0.0/8, 192.0.2.7/32 } udp dport 80-85 return",
        "ip6 saddr { 2001:db8::/32 } udp dport 80-85 return",
        "drop",
    ]


def test_inbound_when_all_sources_are_ipv6_allows_no_ipv4() -> None:
    text = ruleset({SERVER: (LabFirewallRule("in", "tcp", "22", ("::/0",)),)})
    assert chain(text, "in0") == ["ip6 saddr { ::/0 } tcp dport 22 return", "drop"]


def test_outbound_when_ruled_drops_the_rest() -> None:
    rules = (
        LabFirewallRule("in", "icmp", None, ANYWHERE),
        LabFirewallRule("out", "tcp", "any", ("192.0.2.0/24",)),
    )
    text = ruleset({SERVER: rules})
    assert chain(text, "in0") == ["meta l4proto { icmp, icmpv6 } return", "drop"]
    assert chain(text, "out0") == ["ip daddr { 192.0.2.0/24 } meta l4proto tcp return", "drop"]
