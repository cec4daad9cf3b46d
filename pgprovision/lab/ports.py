"""Ports of the lab's services on the host."""

import socket

from pgprovision.lab.command import LabError
from pgprovision.lab.process import Daemon, wait_until


def free_port(address: str, preferred: int) -> int:
    """The preferred port or the next above it that nobody listens on."""
    for port in range(preferred, preferred + 100):
        with socket.socket() as probe_socket:
            probe_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe_socket.bind((address, port))
            except OSError:
                continue
            return port
    raise LabError(f"no free port on {address} from {preferred} on")


def wait_for_port(address: str, port: int, daemon: Daemon, what: str) -> None:
    """Return when it answers; raises LabError with its last words when it does not."""
    wait_until(lambda: daemon.pid() is None or _answers(address, port), seconds=20)
    if daemon.pid() is None or not _answers(address, port):
        words = daemon.log_tail()
        raise LabError(f"{what} does not answer on {address}:{port}: {words} (log: {daemon.log})")


def _answers(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False
