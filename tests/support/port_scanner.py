"""Strangers on the lab's networks, who try doors from an address of their choice."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pgprovision.lab.command import attempt
from pgprovision.lab.links import ip
from pgprovision.lab.network import Network

# Arguments: source, target, ports. Prints those that answer within a second.
_TRY = """\
import asyncio, sys
source, target, *ports = sys.argv[1:]
async def dial(port, few):
    async with few:
        try:
            made = asyncio.open_connection(target, port, local_addr=(source, 0))
            (await asyncio.wait_for(made, 1))[1].close()
            print(port)
        except OSError:
            pass
async def all():
    few = asyncio.Semaphore(500)
    await asyncio.gather(*(dial(port, few) for port in ports))
asyncio.run(all())
"""
# Arguments: source, target, port. Tries until it is killed.
_WATCH = """\
import socket, sys, time
source, target, port = sys.argv[1:]
print("dialled", flush=True)
while True:
    try:
        socket.create_connection((target, port), 0.3, (source, 0)).close()
        print("reached", flush=True)
    except OSError:
        time.sleep(0.05)
"""


@dataclass(frozen=True)
class Stranger:
    """Somebody in a network namespace, under one of its addresses."""

    space: str
    address: str

    def reaches(self, target: str, ports: Iterable[int]) -> list[int]:
        """The ports on which a connection is accepted."""
        words = self._python(_TRY, target, *map(str, ports))
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        return sorted(map(int, done.stdout.split()))

    @contextmanager
    def watching(self, target: str, port: int) -> Iterator[set[str]]:
        """Tries one port all the time; at the end it is `dialled`, and `reached` if it answered."""
        words, seen = self._python(_WATCH, target, str(port)), set[str]()
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watch:
            try:
                yield seen
            finally:
                watch.kill()
                assert watch.stdout
                seen.update(watch.stdout.read().split())

    def _python(self, script: str, *words: str) -> list[str]:
        within = ["ip", "netns", "exec", self.space]
        return [*within, sys.executable, "-c", script, self.address, *words]


def inside(network: Network, network_id: int, address: str) -> Stranger:
    """On a private network, where its router stands."""
    space = network.private(network_id)
    ip(f"addr replace {address}/32 dev lo", namespace=space)
    return Stranger(space, address)


@contextmanager
def outside(network: Network, *addresses: str) -> Iterator[tuple[Stranger, ...]]:
    """Somewhere in the world, beyond the cloud firewall. By its name it goes with the lab, also
    where the test is killed; no network has the number 0."""
    space, router, gateway = network.private(0), network.router, "172.31.1.1"
    attempt("ip", "netns", "delete", space)
    ip(f"netns add {space}", f"link add w0 netns {space} type veth peer name w0 netns {router}")
    try:
        own = [f"{{}} add {a} dev w0" for a in addresses]
        ip(
            f"addr add {gateway}/32 dev w0",
            "addr add fe80::1/64 dev w0 nodad",
            "link set w0 up",
            *(line.format("route") for line in own),
            namespace=router,
        )
        ip(
            "link set lo up",
            *(line.format("addr") + (" nodad" if ":" in line else "") for line in own),
            "link set w0 up",
            f"route add default via {gateway} dev w0 onlink",
            "route add default via fe80::1 dev w0",
            namespace=space,
        )
        yield tuple(Stranger(space, address) for address in addresses)
    finally:
        attempt("ip", "netns", "delete", space)
