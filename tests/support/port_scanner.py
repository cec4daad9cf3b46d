"""Outsiders on the lab's networks, who try ports from an address of their choice."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pgprovision.lab.command import succeeds
from pgprovision.lab.links import ip_batch
from pgprovision.lab.network import LabNetwork

# Arguments: source, target, ports. Prints those that answer within a second.
_SCAN_SCRIPT = """\
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
_PROBE_SCRIPT = """\
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
class PortScanner:
    """Somebody in a network namespace, under one of its addresses."""

    namespace: str
    address: str

    def open_ports(self, target: str, ports: Iterable[int]) -> list[int]:
        """The ports on which a connection is accepted."""
        words = self._python(_SCAN_SCRIPT, target, *map(str, ports))
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        return sorted(map(int, done.stdout.split()))

    @contextmanager
    def probing(self, target: str, port: int) -> Iterator[set[str]]:
        """Tries one port all the time; at the end it is `dialled`, and `reached` if it answered."""
        words, results = self._python(_PROBE_SCRIPT, target, str(port)), set[str]()
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as prober:
            try:
                yield results
            finally:
                prober.kill()
                assert prober.stdout
                results.update(prober.stdout.read().split())

    def _python(self, script: str, *words: str) -> list[str]:
        within = ["ip", "netns", "exec", self.namespace]
        return [*within, sys.executable, "-c", script, self.address, *words]


def in_private_network(network: LabNetwork, network_id: int, address: str) -> PortScanner:
    """On a private network, where its router stands."""
    netns = network.private_namespace(network_id)
    ip_batch(f"addr replace {address}/32 dev lo", namespace=netns)
    return PortScanner(netns, address)


@contextmanager
def on_internet(network: LabNetwork, *addresses: str) -> Iterator[tuple[PortScanner, ...]]:
    """Somewhere in the world, beyond the cloud firewall. By its name it goes with the lab, also
    where the test is killed; no network has the number 0."""
    netns, router, gateway = network.private_namespace(0), network.router, "172.31.1.1"
    succeeds("ip", "netns", "delete", netns)
    ip_batch(
        f"netns add {netns}", f"link add w0 netns {netns} type veth peer name w0 netns {router}"
    )
    try:
        own = [f"{{}} add {a} dev w0" for a in addresses]
        ip_batch(
            f"addr add {gateway}/32 dev w0",
            "addr add fe80::1/64 dev w0 nodad",
            "link set w0 up",
            *(line.format("route") for line in own),
            namespace=router,
        )
        ip_batch(
            "link set lo up",
            *(line.format("addr") + (" nodad" if ":" in line else "") for line in own),
            "link set w0 up",
            f"route add default via {gateway} dev w0 onlink",
            "route add default via fe80::1 dev w0",
            namespace=netns,
        )
        yield tuple(PortScanner(netns, address) for address in addresses)
    finally:
        succeeds("ip", "netns", "delete", netns)
