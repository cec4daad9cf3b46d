"""What the inventory asks of a machine is there to be had: clock, port, network, locale, size.

Judged before the first write, everything in one report. Clock, network and locale are matters of a
machine that is to be made: where the node is finished, clock and network are remarks, since going
on is what repairs them.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State
from pgprovision.errors import InventoryError
from pgprovision.quote import sh
from pgprovision.resources.node.identity import MARKER
from pgprovision.resources.postgres.configuration.postgresql_conf import Conf
from pgprovision.resources.postgres.server.instance import Instance

HERE = "here"
NOW = Ask("date +%s")
SKEW = 300  # seconds between two clocks, as Kerberos has it; S3 refuses from 900 on
EVERYWHERE = ("0.0.0.0", "*", "[::]", "127.0.0.1", "[::1]")  # where a listener is in the way
Complaint = tuple[str, str]  # what is wrong, what to do


@dataclass(frozen=True)
class Seen:
    """What `Preflight.probe` found. `cards`: address by device; `routes`: device and network;
    `listening`: address and program of whoever else has the port."""

    now: int = 0
    finished: bool = False
    cards: tuple[tuple[str, str], ...] = ()
    routes: tuple[tuple[str, IPv4Network], ...] = ()
    listening: tuple[tuple[str, str], ...] = ()
    locales: frozenset[str] = frozenset()


def parse(text: str) -> Seen:
    """
    >>> parse("now 7\\nlocale C\\nlocale de_DE.utf8\\n").locales == {"c", "de_de.utf8"}
    True
    """
    rows: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        word, *rest = line.split()
        rows.setdefault(word, []).append(rest)
    return Seen(
        now=int(rows["now"][0][0]) if "now" in rows else 0,
        finished="finished" in rows,
        cards=tuple((r[1], r[3].partition("/")[0]) for r in rows.get("card", ())),
        routes=tuple(_routes(rows.get("route", ()))),
        listening=tuple((r[3].rpartition(":")[0], _program(r)) for r in rows.get("port", ())),
        locales=frozenset(_plain(r[0]) for r in rows.get("locale", ()) if r),
    )


@dataclass(frozen=True, kw_only=True)
class Preflight(Resource):
    """One machine, before the first write to it. `ranges`: the private network; `peers`: the other
    nodes' addresses in it; `locales`: those that databases need; `clock`: the controller's."""

    kind: ClassVar[str] = "preflight"
    instance: Instance
    private_ip: str
    conf: Conf
    ranges: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    locales: tuple[str, ...] = ()
    clock: int | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        return "machine"

    def probe(self) -> Ask:
        pid, port = sh(f"{self.instance.data_directory}/postmaster.pid"), str(self.instance.port)
        return Ask(
            f"date '+now %s'; [ -e {MARKER} ] && echo finished || "
            "locale -a 2>/dev/null | sed 's/^/locale /'\n"
            f"set -- $(sed -n '1p;4p' {pid} 2>/dev/null)\n"  # our own, and its port
            f'[ "$2" = {port} ] && [ -d "/proc/$1" ] ||\n'
            f"ss -Hltnp 'sport = :{port}' | sed 's/^/port /'\n"
            "ip -4 -o addr show | sed 's/^/card /'; ip -4 route show | sed 's/^/route /'"
        )

    def needs(self) -> tuple[Need, ...]:
        return (Need(HERE, NOW), *self.conf.size_needs())

    def settled(self, facts: Facts) -> Self:
        here = facts.get(HERE, NOW)
        clock = int(here.text) if here is not None and here.text.strip().isdigit() else None
        return replace(self, clock=clock, conf=self.conf.sized(facts))

    def read(self, answer: Answer) -> State:
        """Raises InventoryError with everything that does not fit."""
        seen = parse(answer.text)
        found = [*self.conf.complaints(), *self._port(seen)]
        about = [*self._clock(seen), *self._network(seen)]
        if not seen.finished:
            found += [*about, *self._locales(seen)]
            about = []
        if found:
            raise _bad(self.on, found)
        return {"about": tuple(what for what, _ in about)}

    def desired(self) -> State:
        return {}

    def change(self, diff: Diff) -> Iterable[Do]:
        return ()

    def remarks(self, state: State) -> tuple[str, ...]:
        about = state["about"]
        return tuple(map(str, about)) if isinstance(about, tuple) else ()

    def _port(self, seen: Seen) -> Iterator[Complaint]:
        for address, program in seen.listening:
            if address in (*EVERYWHERE, self.private_ip):
                port = self.instance.port
                yield (
                    f"port {port} is in use on {address} by {program}",
                    f"stop it, or take another one, for instance postgres.port: {port + 1}",
                )
                return

    def _clock(self, seen: Seen) -> Iterator[Complaint]:
        if self.clock is None or not seen.now or abs(seen.now - self.clock) <= SKEW:
            return
        off = seen.now - self.clock
        side = "ahead of" if off > 0 else "behind"
        yield (
            f"its clock is {abs(off)} s {side} the controller's; expected {SKEW} s at most",
            "see which of the two is right (date -u), then: timedatectl set-ntp true",
        )

    def _network(self, seen: Seen) -> Iterator[Complaint]:
        """A route of another card that takes what is for the private network."""
        mine = {card for card, address in seen.cards if address == self.private_ip}
        if not mine:
            return  # its card is waited for elsewhere
        others = [(card, route) for card, route in seen.routes if card not in mine]
        for card, route in others:
            inside = [r for r in map(IPv4Network, self.ranges) if route.subnet_of(r)]
            taken = [p for p in self.peers if _way(p, seen.routes) == (card, route)]
            if inside or taken:
                whose = f"the private network {inside[0]}" if inside else f"the node {taken[0]}"
                yield (
                    f"{route} on card {card} overlaps with {whose}",
                    "give one of the two another range (Docker: default-address-pools in"
                    " /etc/docker/daemon.json; ours: hetzner.network.ip_range, private_ip)",
                )

    def _locales(self, seen: Seen) -> Iterator[Complaint]:
        missing = [name for name in self.locales if _plain(name) not in seen.locales]
        if missing and seen.locales:
            yield (
                f"it has no locale {', '.join(missing)}; it has {', '.join(sorted(seen.locales))}",
                f"on it, as root: localedef -i {missing[0].partition('.')[0]} -f UTF-8"
                f" {missing[0]}; or locales-all among apt.extra_packages",
            )


def _bad(on: str, found: list[Complaint]) -> InventoryError:
    (what, turn), *more = found
    if more:
        what = "\n".join([f"{len(found)} things do not fit", *(f"  - {w}; {t}" for w, t in found)])
        turn = "mend these, then run the same command again"
    return InventoryError(what, where=on, done="nothing was written", next=turn)


def _routes(rows: Iterable[list[str]]) -> Iterator[tuple[str, IPv4Network]]:
    """Those with a device, without the default ones."""
    for row in rows:
        if "dev" in row and re.fullmatch(r"[0-9.]+(/[0-9]+)?", row[0]):
            yield row[row.index("dev") + 1], IPv4Network(row[0])


def _way(address: str, routes: Iterable[tuple[str, IPv4Network]]) -> tuple[str, IPv4Network] | None:
    """The route that an address is reached by; the first of equals, as the kernel lists them."""
    there = [(card, net) for card, net in routes if IPv4Network(address).subnet_of(net)]
    return max(there, key=lambda way: way[1].prefixlen, default=None)


def _program(row: list[str]) -> str:
    found = re.search(r'\("([^"]+)",pid=(\d+)', " ".join(row))
    return f"{found[1]} (pid {found[2]})" if found else "a program that ss does not name"


def _plain(locale: str) -> str:
    """A locale as `locale -a` has it: C.UTF-8 is c.utf8."""
    name, dot, codeset = locale.lower().partition(".")
    return f"{name}{dot}{codeset.replace('-', '')}"
