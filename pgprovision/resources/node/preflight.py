"""Checks that a host can be what the inventory declares: clock, port, network, locale, size.

Runs before the first write, with all problems in one message. Where the node is finished, a wrong
clock or network is only noted, because the run repairs it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Answer,
    Check,
    Facts,
    Need,
    Probe,
    State,
    WithNeeds,
    WithNotes,
)
from pgprovision.errors import InventoryError
from pgprovision.quote import sh
from pgprovision.resources.node.identity import MARKER_FILE
from pgprovision.resources.postgres.configuration.postgresql_conf import PostgresqlConf
from pgprovision.resources.postgres.server.instance import Instance

CONTROLLER = "controller"
CLOCK_PROBE = Probe("date +%s")
MAX_CLOCK_SKEW = 300  # seconds between two clocks, as Kerberos has it; S3 refuses from 900 on
BLOCKING_ADDRESSES = (
    "0.0.0.0",
    "*",
    "[::]",
    "127.0.0.1",
    "[::1]",
)  # where a listener is in the way
PreflightProblem = tuple[str, str]  # what is wrong, what to do


@dataclass(frozen=True)
class PreflightFacts:
    """What `Preflight.probe` found."""

    now: int = 0
    """The host's clock, in seconds since 1970."""
    finished: bool = False
    """The host has a marker."""
    interfaces: tuple[tuple[str, str], ...] = ()
    """Interface and address."""
    routes: tuple[tuple[str, IPv4Network], ...] = ()
    """Interface and network."""
    listeners: tuple[tuple[str, str], ...] = ()
    """Address and program of others that use PostgreSQL's port."""
    locales: frozenset[str] = frozenset()
    """The locales that are installed."""


def parse(text: str) -> PreflightFacts:
    """
    >>> parse("now 7\\nlocale C\\nlocale de_DE.utf8\\n").locales == {"c", "de_de.utf8"}
    True
    """
    rows: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        word, *rest = line.split()
        rows.setdefault(word, []).append(rest)
    return PreflightFacts(
        now=int(rows["now"][0][0]) if "now" in rows else 0,
        finished="finished" in rows,
        interfaces=tuple((r[1], r[3].partition("/")[0]) for r in rows.get("card", ())),
        routes=tuple(_routes(rows.get("route", ()))),
        listeners=tuple((r[3].rpartition(":")[0], _program(r)) for r in rows.get("port", ())),
        locales=frozenset(_plain(r[0]) for r in rows.get("locale", ()) if r),
    )


@dataclass(frozen=True, kw_only=True)
class Preflight(Check, WithNeeds, WithNotes):
    """A host, before the first write to it."""

    kind: ClassVar[str] = "preflight"
    instance: Instance
    private_ip: str
    """Its address in the private network."""
    conf: PostgresqlConf
    """Its settings, compared with its size."""
    network_ranges: tuple[str, ...] = ()
    """The private network."""
    other_nodes: tuple[str, ...] = ()
    """Addresses of the other nodes in it."""
    locales: tuple[str, ...] = ()
    """The locales that the databases need."""
    controller_clock: int | None = field(default=None, compare=False)
    """A fact: the controller's clock, in seconds since 1970."""

    @property
    def name(self) -> str:
        return "machine"

    def probe(self) -> Probe:
        pid, port = sh(f"{self.instance.data_directory}/postmaster.pid"), str(self.instance.port)
        return Probe(
            f"date '+now %s'; [ -e {MARKER_FILE} ] && echo finished || "
            "locale -a 2>/dev/null | sed 's/^/locale /'\n"
            f"set -- $(sed -n '1p;4p' {pid} 2>/dev/null)\n"  # our own, and its port
            f'[ "$2" = {port} ] && [ -d "/proc/$1" ] ||\n'
            f"ss -Hltnp 'sport = :{port}' | sed 's/^/port /'\n"
            "ip -4 -o addr show | sed 's/^/card /'; ip -4 route show | sed 's/^/route /'"
        )

    def needs(self) -> tuple[Need, ...]:
        return (Need(CONTROLLER, CLOCK_PROBE), *self.conf.machine_size_needs())

    def resolved(self, facts: Facts) -> Self:
        controller_answer = facts.get(CONTROLLER, CLOCK_PROBE)
        clock = (
            int(controller_answer.text)
            if controller_answer is not None and controller_answer.text.strip().isdigit()
            else None
        )
        return replace(self, controller_clock=clock, conf=self.conf.with_machine_size(facts))

    def read(self, answer: Answer) -> State:
        """Raises InventoryError with all problems."""
        facts = parse(answer.text)
        problems = [*self.conf.problems(), *self._port(facts)]
        notes = [*self._clock(facts), *self._network(facts)]
        if not facts.finished:
            problems += [*notes, *self._locales(facts)]
            notes = []
        if problems:
            raise _combined_error(self.on, problems)
        return {"notes": tuple(text for text, _ in notes)}

    def desired(self) -> State:
        return {}

    def notes(self, state: State) -> tuple[str, ...]:
        notes = state["notes"]
        return tuple(map(str, notes)) if isinstance(notes, tuple) else ()

    def _port(self, facts: PreflightFacts) -> Iterator[PreflightProblem]:
        for address, program in facts.listeners:
            if address in (*BLOCKING_ADDRESSES, self.private_ip):
                port = self.instance.port
                yield (
                    f"port {port} is in use on {address} by {program}",
                    f"stop it, or take another one, for instance postgres.port: {port + 1}",
                )
                return

    def _clock(self, facts: PreflightFacts) -> Iterator[PreflightProblem]:
        if (
            self.controller_clock is None
            or not facts.now
            or abs(facts.now - self.controller_clock) <= MAX_CLOCK_SKEW
        ):
            return
        off = facts.now - self.controller_clock
        side = "ahead of" if off > 0 else "behind"
        yield (
            f"its clock is {abs(off)} s {side} the controller's;"
            f" expected {MAX_CLOCK_SKEW} s at most",
            "find out which of the two is right (date -u), then: timedatectl set-ntp true",
        )

    def _network(self, facts: PreflightFacts) -> Iterator[PreflightProblem]:
        """A route of another interface that takes traffic for the private network."""
        private_interfaces = {
            card for card, address in facts.interfaces if address == self.private_ip
        }
        if not private_interfaces:
            return  # another check waits for its interface
        others = [(card, route) for card, route in facts.routes if card not in private_interfaces]
        for interface, route in others:
            inside = [r for r in map(IPv4Network, self.network_ranges) if route.subnet_of(r)]
            taken = [
                p for p in self.other_nodes if _route_to(p, facts.routes) == (interface, route)
            ]
            if inside or taken:
                overlap = f"the private network {inside[0]}" if inside else f"the node {taken[0]}"
                yield (
                    f"{route} on interface {interface} overlaps with {overlap}",
                    "give one of the two another range (Docker: default-address-pools in"
                    " /etc/docker/daemon.json; ours: hetzner.network.ip_range, private_ip)",
                )

    def _locales(self, facts: PreflightFacts) -> Iterator[PreflightProblem]:
        missing = [name for name in self.locales if _plain(name) not in facts.locales]
        if missing and facts.locales:
            yield (
                f"it has no locale {', '.join(missing)}; it has {', '.join(sorted(facts.locales))}",
                f"on it, as root: localedef -i {missing[0].partition('.')[0]} -f UTF-8"
                f" {missing[0]}; or locales-all among apt.extra_packages",
            )


def _combined_error(on: str, problems: list[PreflightProblem]) -> InventoryError:
    (message, advice), *more = problems
    if more:
        message = "\n".join([f"{len(problems)} problems", *(f"  - {w}; {t}" for w, t in problems)])
        advice = "correct these, then run the same command again"
    return InventoryError(message, where=on, next=advice)


def _routes(rows: Iterable[list[str]]) -> Iterator[tuple[str, IPv4Network]]:
    """Routes with an interface, without the default ones."""
    for row in rows:
        if "dev" in row and re.fullmatch(r"[0-9.]+(/[0-9]+)?", row[0]):
            yield row[row.index("dev") + 1], IPv4Network(row[0])


def _route_to(
    address: str, routes: Iterable[tuple[str, IPv4Network]]
) -> tuple[str, IPv4Network] | None:
    """The route to an address; of equal ones the first, as the kernel does."""
    candidates = [(card, net) for card, net in routes if IPv4Network(address).subnet_of(net)]
    return max(candidates, key=lambda way: way[1].prefixlen, default=None)


def _program(row: list[str]) -> str:
    found = re.search(r'\("([^"]+)",pid=(\d+)', " ".join(row))
    return f"{found[1]} (pid {found[2]})" if found else "a program that ss does not name"


def _plain(locale: str) -> str:
    """A locale as `locale -a` prints it: C.UTF-8 is c.utf8."""
    name, dot, codeset = locale.lower().partition(".")
    return f"{name}{dot}{codeset.replace('-', '')}"
