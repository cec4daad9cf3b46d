"""SSH: Fabric finds the way (ssh_config, keys, agent, jump host), one raw channel does the work.

Host keys are verified from the first contact on; there is no way to accept a new one. A node's key
is pinned under the node's name in the cluster's `known_hosts`; hosts that the cluster did not make
may be in the user's own `known_hosts` instead.
"""

import logging
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pgprovision.errors import Refused, Unreachable
from pgprovision.quote import sh
from pgprovision.transport.connection import Channel

if TYPE_CHECKING:
    import fabric
    import paramiko

CONNECT_SECONDS = 10
_NULL_HANDLER = logging.NullHandler()  # our own errors report what fails on the way
KEEPALIVE_SECONDS = 5  # an unanswered line is noticed by sshd's ClientAlive and by us
TCP_TIMEOUT_SECONDS = 20  # a peer that confirms nothing for so long is gone; the lock's lease, too


class SshNotReady(Unreachable):
    """Nobody there yet, or not ready to let us in: worth another try while a machine boots."""


@dataclass(frozen=True)
class SshEndpoint:
    """How to reach one machine. `node` is the name its host key is pinned under."""

    node: str
    host: str
    user: str = "root"
    port: int = 22
    identity_file: Path | None = None
    jump_host: str | None = None
    known_hosts: Path | None = None
    ssh_config: Path | None = None


class SshConnection:
    """A verified connection; each run is one exec of one `sh` (through `sudo -n` if not root)."""

    def __init__(self, endpoint: SshEndpoint) -> None:
        self._connection = _connect(endpoint)
        self._where = _where(endpoint)
        self._sudo = self._connection.user != "root"

    def run(
        self, script: bytes, remaining_seconds: Callable[[], float]
    ) -> Iterator[tuple[bytes, bytes]]:
        channel = self._exec("exec sudo -n sh -s" if self._sudo else "exec sh -s")
        sender = threading.Thread(target=_send, args=(channel, script), daemon=True)
        sender.start()
        got_output, stderr_tail = False, b""
        try:
            for out, err in _read_output(channel, remaining_seconds):
                got_output, stderr_tail = got_output or bool(out), (stderr_tail + err)[-500:]
                yield out, err
            if self._sudo and not got_output and channel.exit_status > 0:
                raise self._sudo_error(stderr_tail)
        except TimeoutError:
            self.close()  # what is still being sent would block a closing channel
            raise
        finally:
            channel.close()

    def open_channel(self, *command: str) -> "SshChannel":
        """A program of its own, as root, to talk with. Raises ConnectionError."""
        sudo = ["sudo", "-n"] if self._sudo else []
        return SshChannel(self._exec(sh(*sudo, *command), combined=True))

    def close(self) -> None:
        self._connection.close()

    def _exec(self, command: str, *, combined: bool = False) -> "paramiko.Channel":
        """A channel on which a command was begun within CONNECT_SECONDS. Raises ConnectionError."""
        import paramiko

        timer = threading.Timer(CONNECT_SECONDS, self.close)  # exec_command knows no limit
        try:
            channel = self._transport().open_session(timeout=CONNECT_SECONDS)
            channel.set_combine_stderr(combined)
            timer.start()
            channel.exec_command(command)
        except (paramiko.SSHException, EOFError) as error:
            raise ConnectionError(str(error) or "the connection is dead") from error
        finally:
            timer.cancel()
        return channel

    def _sudo_error(self, message: bytes) -> Unreachable:
        user = self._connection.user
        return Unreachable(
            f"{user} does not become root: {message.decode(errors='replace').strip()}",
            where=self._where,
            next=f"let sudo ask {user} for no password, as root on that host: "
            f"echo '{user} ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/{user}",
        )

    def _transport(self) -> "paramiko.Transport":
        transport: paramiko.Transport | None = self._connection.client.get_transport()
        if transport is None or not transport.is_active():
            raise ConnectionError("the connection is closed")
        return transport


class SshChannel(Channel):
    """A conversation with a program on the far side."""

    def __init__(self, channel: "paramiko.Channel") -> None:
        self._channel = channel

    def send_line(self, text: str) -> None:
        self._channel.sendall(text.encode() + b"\n")

    def _receive_bytes(self, seconds: float) -> bytes:
        self._channel.settimeout(seconds)
        return self._channel.recv(65536)

    def close(self) -> None:
        self._channel.close()


def _send(channel: "paramiko.Channel", script: bytes) -> None:
    """In a thread of its own: the far side may answer before it has read everything."""
    try:
        channel.sendall(script)
        channel.shutdown_write()
    except OSError:
        return  # the reader sees the closed channel


def _read_output(
    channel: "paramiko.Channel", remaining_seconds: Callable[[], float]
) -> Iterator[tuple[bytes, bytes]]:
    ready = channel.fileno()
    while True:
        ended = channel.exit_status_ready() or channel.closed
        out = channel.recv(65536) if channel.recv_ready() else b""
        err = channel.recv_stderr(65536) if channel.recv_stderr_ready() else b""
        if out or err:
            yield out, err
        elif ended and (channel.eof_received or channel.closed):
            return
        elif (
            not select.select([ready], [], [], min(1.0, remaining_seconds()))[0]
            and remaining_seconds() <= 0
        ):
            raise TimeoutError("no answer within the action's timeout")
        elif ended:
            time.sleep(0.01)


def _connect(endpoint: SshEndpoint) -> "fabric.Connection":
    import paramiko

    logging.getLogger("paramiko").addHandler(_NULL_HANDLER)
    connection = new_connection(endpoint)
    client = connection.client
    if endpoint.known_hosts is not None and endpoint.known_hosts.exists():
        pinned_keys = paramiko.HostKeys(str(endpoint.known_hosts)).lookup(endpoint.node)
        if pinned_keys:
            client._system_host_keys.clear()  # the pin alone counts
            name = endpoint.host if endpoint.port == 22 else f"[{endpoint.host}]:{endpoint.port}"
            for kind, key in pinned_keys.items():
                client.get_host_keys().add(name, kind, key)
    try:
        connection.open()
    except paramiko.BadHostKeyException as error:
        pin = _known_hosts_name(endpoint, error.hostname)
        raise Refused(
            f"the host key of {pin} changed: expected {error.expected_key.fingerprint}, "
            f"got {error.key.fingerprint}",
            where=_where(endpoint),
            state="the connection ended before authentication",
            next=f"find out which host answers there; after a known rebuild remove the line of "
            f"{pin} from {endpoint.known_hosts or '~/.ssh/known_hosts'} and pin the new key",
        ) from error
    except paramiko.PasswordRequiredException as error:
        raise Unreachable(
            f"the key for {endpoint.user} has a passphrase, and pgprovision never prompts for it",
            where=_where(endpoint),
            next=f"ssh-add {endpoint.identity_file or ''}".strip()
            + " (an agent keeps it), then the same"
            " command again; or name a key without one in ssh.identity_file",
        ) from error
    except paramiko.AuthenticationException as error:
        raise SshNotReady(
            f"login as {endpoint.user} was refused: {error}",
            where=_where(endpoint),
            next=f"try it by hand: ssh -p {endpoint.port} {endpoint.user}@{endpoint.host}",
        ) from error
    except paramiko.SSHException as error:
        if unknown := re.search(r"Server '(.+)' not found in known_hosts", str(error)):
            pin = _known_hosts_name(endpoint, unknown[1])
            raise Refused(
                f"the host key of {pin} is not known, and an unknown key is never accepted",
                where=_where(endpoint),
                state="the connection ended before authentication",
                next=f"compare the fingerprint on the machine's console, then add a line "
                f"`{pin} ssh-ed25519 AAAA...` to {endpoint.known_hosts}",
            ) from error
        raise _not_ready_error(endpoint, f"SSH does not answer: {error}") from error
    except (OSError, EOFError) as error:
        raise _not_ready_error(endpoint, f"cannot be reached: {error}") from error
    _enable_keepalive(connection)
    return connection


def _not_ready_error(endpoint: SshEndpoint, what: str) -> SshNotReady:
    jump = f" -J {endpoint.jump_host}" if endpoint.jump_host else ""
    return SshNotReady(
        f"{what} (a connection to port {endpoint.port} was tried for {CONNECT_SECONDS} s)",
        where=_where(endpoint),
        next="check that the server is running and that its firewalls allow you, then by hand: "
        f"ssh{jump} -p {endpoint.port} {endpoint.user}@{endpoint.host} true",
    )


def _enable_keepalive(connection: "fabric.Connection | str | None") -> None:
    """A line that stalls ends within TCP_TIMEOUT_SECONDS, on every hop: the beats of the keepalive
    have to be confirmed by the other kernel."""
    hop = connection
    while hop is not None and not isinstance(hop, str):
        transport = hop.client.get_transport()
        if transport is not None:
            transport.set_keepalive(KEEPALIVE_SECONDS)
            option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
            if option is not None and isinstance(transport.sock, socket.socket):
                with suppress(OSError):
                    transport.sock.setsockopt(
                        socket.IPPROTO_TCP, option, TCP_TIMEOUT_SECONDS * 1000
                    )
        hop = hop.gateway


def _where(endpoint: SshEndpoint) -> str:
    return f"{endpoint.node} ({endpoint.host}:{endpoint.port})"


def _known_hosts_name(endpoint: SshEndpoint, host: str) -> str:
    """The name a host's key stands under: the node's own, or a jump host's address."""
    return endpoint.node if host in (endpoint.host, f"[{endpoint.host}]:{endpoint.port}") else host


def _reject_unknown_host_keys(connection: "fabric.Connection | str | None") -> None:
    """On every hop, also those that ssh_config names: Fabric's own policy is to accept."""
    import paramiko

    hop = connection
    while hop is not None and not isinstance(hop, str):
        hop.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        hop = hop.gateway


def new_connection(endpoint: SshEndpoint) -> "fabric.Connection":
    """The connection, not yet open, with everything ssh_config says about it."""
    import fabric

    config = fabric.Config(
        runtime_ssh_path=str(endpoint.ssh_config) if endpoint.ssh_config else None
    )
    keys: dict[str, object] = {"banner_timeout": 15, "auth_timeout": 15}
    if endpoint.identity_file is not None:
        keys["key_filename"] = str(endpoint.identity_file.expanduser())
    gateway = None
    if endpoint.jump_host:
        gateway = fabric.Connection(
            endpoint.jump_host,
            config=config,
            connect_timeout=CONNECT_SECONDS,
            connect_kwargs=dict(keys),
        )
        if endpoint.known_hosts is not None and endpoint.known_hosts.exists():
            gateway.client.load_system_host_keys(str(endpoint.known_hosts))
    connection = fabric.Connection(
        endpoint.host,
        user=endpoint.user,
        port=endpoint.port,
        gateway=gateway,
        config=config,
        connect_timeout=CONNECT_SECONDS,
        connect_kwargs=keys,
    )
    _reject_unknown_host_keys(connection)
    return connection
