"""B76, B79, B95, B107: what only the machine can tell, before the first write to it."""

from dataclasses import replace

import pytest

from pgprovision.engine.model import Answer, Resource, Tier
from pgprovision.engine.observe import Observation, compare
from pgprovision.errors import InventoryError, Refused
from pgprovision.resources.node.preflight import CLOCK_PROBE, CONTROLLER, Preflight
from pgprovision.resources.postgres.server.instance import Instance
from tests.unit.test_postgres_files import CONF, Answered

PREFLIGHT = Preflight(
    on="db-1",
    instance=Instance(),
    private_ip="10.0.1.11",
    conf=CONF,
    network_ranges=("10.0.0.0/16",),
    other_nodes=("10.0.1.12",),
    locales=("C.UTF-8",),
    controller_clock=1000,
)
FRESH = "now 1003\nlocale C\nlocale C.utf8\nlocale POSIX\n"
CARDS = """\
card 1: lo    inet 127.0.0.1/8 scope host lo
card 2: eth0    inet 192.0.2.7/32 scope global eth0
card 3: priv0    inet 10.0.1.11/32 scope global priv0
route default via 172.31.1.1 dev eth0
route 10.0.0.0/16 via 10.0.0.1 dev priv0
route 10.0.0.1 dev priv0 scope link
"""
NGINX = 'port LISTEN 0 511 {}:5432 0.0.0.0:* users:(("nginx",pid=7,fd=6),("nginx",pid=8,fd=6))\n'


def refusal(text: str, preflight: Preflight = PREFLIGHT) -> InventoryError:
    with pytest.raises(InventoryError) as caught:
        preflight.read(Answer(out=text.encode()))
    assert caught.value.exit_code == 2
    assert caught.value.done == ""
    return caught.value


def notes(text: str, preflight: Preflight = PREFLIGHT) -> tuple[str, ...]:
    return preflight.notes(preflight.read(Answer(out=text.encode())))


@pytest.mark.parametrize(
    "more",
    [
        "",
        "route 172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 linkdown\n",
        "route 10.0.0.0/8 dev wg0 scope link\n",  # wider than ours, which wins
        "route unreachable 10.9.0.0/16\n",
    ],
    ids=["nothing else", "docker elsewhere", "a wider route", "no device"],
)
def test_machine_when_all_fits_is_taken(more: str) -> None:
    assert notes(FRESH + CARDS + more) == ()


@pytest.mark.covers("B76")
@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("10.0.5.0/24 dev docker0", "10.0.5.0/24 on interface docker0 overlaps with the private"),
        (
            "10.0.0.0/16 dev wg0",
            "10.0.0.0/16 on interface wg0 overlaps with the private network 10",
        ),
        ("10.0.1.12 dev tun0", "10.0.1.12/32 on interface tun0 overlaps with the private network"),
    ],
)
def test_range_when_another_card_has_it_is_bad_input(route: str, expected: str) -> None:
    error = refusal(f"{FRESH}{CARDS}route {route} scope link\n")
    assert expected in error.what
    assert "hetzner.network.ip_range" in error.next


@pytest.mark.covers("B76")
def test_node_when_another_card_leads_to_it_is_bad_input() -> None:
    resource = replace(PREFLIGHT, network_ranges=())
    assert "overlaps with the node 10.0.1.12" in (
        refusal(f"{FRESH}{CARDS}route 10.0.1.0/24 dev br-1\n", resource).what
    )


@pytest.mark.covers("B79")
@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "[::]", "*", "10.0.1.11"])
def test_port_when_another_program_has_it_is_bad_input(address: str) -> None:
    error = refusal(FRESH + CARDS + NGINX.format(address))
    assert error.what == f"port 5432 is in use on {address} by nginx (pid 7)"
    assert "postgres.port: 5433" in error.next


@pytest.mark.covers("B79")
def test_port_when_it_is_used_on_an_address_of_no_concern_is_fine() -> None:
    assert notes(FRESH + CARDS + NGINX.format("192.0.2.7")) == ()


@pytest.mark.covers("B95")
def test_locale_when_the_machine_has_it_not_is_bad_input() -> None:
    error = refusal(FRESH, replace(PREFLIGHT, locales=("C.UTF-8", "de_DE.UTF-8")))
    assert error.what == "it has no locale de_DE.UTF-8; it has c, c.utf8, posix"
    assert "localedef -i de_DE -f UTF-8 de_DE.UTF-8" in error.next


@pytest.mark.covers("B107")
@pytest.mark.parametrize(
    ("now", "expected"), [(4600, "3600 s ahead of the controller's"), (400, "600 s behind")]
)
def test_clock_when_off_is_bad_input_and_a_note_where_up_repairs_it(
    now: int, expected: str
) -> None:
    assert expected in refusal(f"now {now}\n").what
    (note,) = notes(f"now {now}\nfinished\n")
    assert expected in note


@pytest.mark.covers("B107")
def test_clock_when_resolved_is_the_controllers() -> None:
    resource = replace(PREFLIGHT, controller_clock=None).resolved(
        Answered({CLOCK_PROBE: Answer(out=b"1000\n")})
    )
    assert resource.controller_clock == 1000
    assert (CONTROLLER, CLOCK_PROBE) in [(need.on, need.probe) for need in resource.needs()]


@pytest.mark.covers("B76", "B79", "B85", "B95", "B107")
def test_machines_when_much_does_not_fit_say_all_in_one_report() -> None:
    first = replace(
        PREFLIGHT,
        locales=("xx_XX",),
        conf=replace(CONF, memory=1 << 28, cores=1, disk=1 << 40),
    )
    second = replace(PREFLIGHT, on="db-2")
    text = f"now 99999\nlocale C\n{CARDS}{NGINX.format('*')}route 10.0.5.0/24 dev docker0\n"
    answer = Answer(out=text.encode())
    look = Observation({"db-1": {first.probe(): answer}, "db-2": {second.probe(): answer}})
    resources: tuple[Resource, ...] = (
        replace(first, conf=replace(first.conf)),
        second,
    )
    with pytest.raises(InventoryError) as caught:
        compare(Tier("preflight", resources), _with_clock(look))
    message = str(caught.value)
    words = ("256MB of memory", "port 5432", "its clock", "docker0", "no locale xx_XX")
    assert [word for word in words if word not in message] == []
    assert "db-1: 5 problems" in message
    assert "db-2: 4 problems" in message


def _with_clock(look: Observation) -> Observation:
    look.answers[CONTROLLER] = {CLOCK_PROBE: Answer(out=b"1000\n")}
    return look


@pytest.mark.covers("B106", "B107")
def test_machine_when_foreign_and_bad_input_meet_is_refused_with_both() -> None:
    class Foreign(Preflight):
        def read(self, answer: Answer) -> dict[str, str]:
            raise Refused("somebody else's")

    look = Observation({"db-1": {PREFLIGHT.probe(): Answer(out=b"now 99999\n")}})
    foreign = Foreign(on="db-1", instance=Instance(), private_ip="10.0.1.11", conf=CONF)
    with pytest.raises(Refused) as caught:
        compare(Tier("preflight", (foreign, PREFLIGHT)), _with_clock(look))
    assert "somebody else's" in str(caught.value)
    assert "its clock" in str(caught.value)
