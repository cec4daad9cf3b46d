"""The host firewall, judged on what a host answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from pgprovision.engine.model import Answer, Diff, Probe
from pgprovision.errors import Refused
from pgprovision.render import render
from pgprovision.resources.system.host_firewall import FirewallOpening, HostFirewall
from pgprovision.resources.system.ssh_rollback import (
    SSH_SESSION_PROBE,
    ConfirmedChange,
    parse_ssh_session,
)

SSH = FirewallOpening("SSH", (22,), (ip_network("203.0.113.0/24"), ip_network("2001:db8::/32")))
FIREWALL = HostFirewall(on="db", text="rules\n", ssh=SSH)

ACCEPTED = Answer(out=b"rules as nft lists them\n")


@dataclass(frozen=True)
class Answered:
    """One host's answers; the rules are accepted unless `nft` says otherwise."""

    came_from: str = ""
    nft: Answer = ACCEPTED

    def get(self, on: str, probe: Probe) -> Answer | None:
        return Answer(out=self.came_from.encode()) if probe == SSH_SESSION_PROBE else self.nft


def look(live: str, proof: str = "proven", saved: str = "rules\n") -> Answer:
    return Answer(out=f"{proof}\n{saved}\n===\n{live}\n".encode())


def actions(answer: Answer) -> Mapping[str, bool]:
    """What would be done, and whether it connects again."""
    resource = FIREWALL.resolved(Answered())
    diff = Diff(resource.read(answer), resource.desired())
    return {do.why: do.reconnects for do in (resource.change(diff) if diff else ())}


def test_firewall_when_all_is_as_declared_then_nothing_is_done() -> None:
    assert actions(look("rules as nft lists them")) == {}


@pytest.mark.parametrize("live", ["", "rules as nft lists them and one more"])
def test_firewall_when_the_live_rules_differ_then_they_are_loaded_alone(live: str) -> None:
    assert actions(look(live)) == {"load the host firewall": True}


def test_firewall_when_absent_then_loaded_before_it_is_saved_for_the_next_boot() -> None:
    assert actions(look("", saved="")) == {"load the host firewall": True}


def test_firewall_when_a_new_connection_looks_then_it_is_proven_and_saved() -> None:
    assert actions(look("rules as nft lists them", "unproven", "old\n")) == {
        "a new connection works: keep the firewall": False,
        "correct the rules for the next boot": False,
    }


@pytest.mark.covers("B80")
@pytest.mark.parametrize(
    ("came_from", "expected"),
    [
        ("198.51.100.7 40000 192.0.2.2 22", "it comes from 198.51.100.7"),
        ("2001:dba::1 40000 2001:db8::2 22", "it comes from 2001:dba::1"),
        ("203.0.113.9 40000 192.0.2.2 2022", "it uses port 2022"),
    ],
)
def test_firewall_when_it_would_lock_out_this_session_then_refused(
    came_from: str, expected: str
) -> None:
    with pytest.raises(Refused, match=expected) as caught:
        FIREWALL.resolved(Answered(came_from)).read(look(""))
    assert caught.value.next


def test_firewall_when_this_session_is_let_in_then_it_goes_on() -> None:
    assert FIREWALL.resolved(Answered("203.0.113.9 40000 192.0.2.2 22")).read(look("")) is not None


def test_firewall_when_nft_rejects_the_rules_then_refused_with_its_words() -> None:
    with pytest.raises(Refused, match="syntax error"):
        FIREWALL.resolved(Answered(nft=Answer(1, err=b"syntax error, unexpected newline")))


def test_session_when_on_a_console_then_there_is_none() -> None:
    assert parse_ssh_session("\n") is None


def test_opening_when_ranges_overlap_then_they_are_joined() -> None:
    ranges = ("10.0.0.0/16", "10.0.1.3/32", "10.1.0.0/16", "fd00::/64")
    opening = FirewallOpening("PostgreSQL", (5432,), tuple(map(ip_network, ranges)))
    assert opening.matches == ("ip saddr { 10.0.0.0/15 }", "ip6 saddr { fd00::/64 }")


def test_opening_when_for_anyone_then_it_names_the_family_only() -> None:
    assert FirewallOpening("SSH", (22,), (ip_network("0.0.0.0/0"),)).matches == (
        "meta nfproto ipv4",
    )


def test_rules_when_rendered_then_ssh_is_open_and_the_rest_dropped() -> None:
    text = render("nftables.conf.j2", openings=(SSH,))
    assert "policy drop" in text
    assert 'ip saddr { 203.0.113.0/24 } tcp dport { 22 } accept comment "SSH"' in text


def test_undo_when_armed_twice_then_the_first_is_preserved() -> None:
    assert (
        ConfirmedChange("firewall").arm_command().index("[ -e /run/pgprovision/undo-firewall ] ||")
        > 0
    )
