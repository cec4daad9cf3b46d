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
from pgprovision.transport.connection import Line

if TYPE_CHECKING:
    import fabric
    import paramiko

CONNECT_SECONDS = 10
_SILENCE = logging.NullHandler()  # what fails on the way is said by our own errors
KEEPALIVE_SECONDS = 5  # an unanswered line is noticed by sshd's ClientAlive and by us
DEAD_SECONDS = 20  # a peer whose kernel confirms nothing for so long is gone; the lock's lease, too


class NotAnswering(Unreachable):
    """Nobody there yet, or not ready to let us in: worth another try while a machine boots."""


@dataclass(frozen=True)
class Way:
    """How to reach one machine. `node` is the name its host key is pinned under."""

    node: str
    host: str
    user: str = "root"
    port: int = 22
    identity: Path | None = None
    jump: str | None = None
    known_hosts: Path | None = None
    config: Path | None = None


class SshWire:
    """A verified connection; each run is one exec of one `sh` (through `sudo -n` if not root)."""

    def __init__(self, way: Way) -> None:
        self._connection = _connect(way)
        self._where = _where(way)
        self._sudo = self._connection.user != "root"

    def run(self, script: bytes, patience: Callable[[], float]) -> Iterator[tuple[bytes, bytes]]:
        channel = self._begin("exec sudo -n sh -s" if self._sudo else "exec sh -s")
        sender = threading.Thread(target=_send, args=(channel, script), daemon=True)
        sender.start()
        heard, said = False, b""
        try:
            for out, err in _pieces(channel, patience):
                heard, said = heard or bool(out), (said + err)[-500:]
                yield out, err
            if self._sudo and not heard and channel.exit_status > 0:
                raise self._no_root(said)
        except TimeoutError:
            self.close()  # what is still being sent would block a closing channel
            raise
        finally:
            channel.close()

    def line(self, *command: str) -> "SshLine":
        """A program of its own, as root, to talk with. Raises ConnectionError."""
        sudo = ["sudo", "-n"] if self._sudo else []
        return SshLine(self._begin(sh(*sudo, *command), combined=True))

    def close(self) -> None:
        self._connection.close()

    def _begin(self, command: str, *, combined: bool = False) -> "paramiko.Channel":
        """A channel on which a command was begun within CONNECT_SECONDS. Raises ConnectionError."""
        import paramiko

        late = threading.Timer(CONNECT_SECONDS, self.close)  # exec_command knows no limit
        try:
            channel = self._transport().open_session(timeout=CONNECT_SECONDS)
            channel.set_combine_stderr(combined)
            late.start()
            channel.exec_command(command)
        except (paramiko.SSHException, EOFError) as error:
            raise ConnectionError(str(error) or "the line is dead") from error
        finally:
            late.cancel()
        return channel

    def _no_root(self, said: bytes) -> Unreachable:
        user = self._connection.user
        return Unreachable(
            f"{user} does not become root: {said.decode(errors='replace').strip()}",
            where=self._where,
            done="nothing was written",
            next=f"let sudo ask {user} for no password, as root on that host: "
            f"echo '{user} ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/{user}",
        )

    def _transport(self) -> "paramiko.Transport":
        transport: paramiko.Transport | None = self._connection.client.get_transport()
        if transport is None or not transport.is_active():
            raise ConnectionError("the connection is closed")
        return transport


class SshLine(Line):
    """A conversation with a program on the far side."""

    def __init__(self, channel: "paramiko.Channel") -> None:
        self._channel = channel

    def send(self, text: str) -> None:
        self._channel.sendall(text.encode() + b"\n")

    def _piece(self, seconds: float) -> bytes:
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


def _pieces(
    channel: "paramiko.Channel", patience: Callable[[], float]
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
        elif not select.select([ready], [], [], min(1.0, patience()))[0] and patience() <= 0:
            raise TimeoutError("no answer within the step's limit")
        elif ended:
            time.sleep(0.01)


def _connect(way: Way) -> "fabric.Connection":
    import paramiko

    logging.getLogger("paramiko").addHandler(_SILENCE)
    connection = route(way)
    client = connection.client
    if way.known_hosts is not None and way.known_hosts.exists():
        pins = paramiko.HostKeys(str(way.known_hosts)).lookup(way.node)
        if pins:
            client._system_host_keys.clear()  # the pin alone counts
            name = way.host if way.port == 22 else f"[{way.host}]:{way.port}"
            for kind, key in pins.items():
                client.get_host_keys().add(name, kind, key)
    try:
        connection.open()
    except paramiko.BadHostKeyException as error:
        pin = _pin(way, error.hostname)
        raise Refused(
            f"the host key of {pin} changed: expected {error.expected_key.fingerprint}, "
            f"got {error.key.fingerprint}",
            where=_where(way),
            done="nothing: stopped before authentication",
            next=f"find out who answers there; after a known rebuild remove the line of "
            f"{pin} from {way.known_hosts or '~/.ssh/known_hosts'} and pin the new key",
        ) from error
    except paramiko.PasswordRequiredException as error:
        raise Unreachable(
            f"the key for {way.user} has a passphrase, and nobody is asked for it here",
            where=_where(way),
            done="nothing was written",
            next=f"ssh-add {way.identity or ''}".strip() + " (an agent keeps it), then the same"
            " command again; or name a key without one in ssh.identity_file",
        ) from error
    except paramiko.AuthenticationException as error:
        raise NotAnswering(
            f"login as {way.user} was refused: {error}",
            where=_where(way),
            next=f"try it by hand: ssh -p {way.port} {way.user}@{way.host}",
        ) from error
    except paramiko.SSHException as error:
        if unknown := re.search(r"Server '(.+)' not found in known_hosts", str(error)):
            pin = _pin(way, unknown[1])
            raise Refused(
                f"the host key of {pin} is not known, and an unknown key is never accepted",
                where=_where(way),
                done="nothing: stopped before authentication",
                next=f"compare the fingerprint on the machine's console, then add a line "
                f"`{pin} ssh-ed25519 AAAA...` to {way.known_hosts}",
            ) from error
        raise _not_answering(way, f"SSH does not answer: {error}") from error
    except (OSError, EOFError) as error:
        raise _not_answering(way, f"cannot be reached: {error}") from error
    _notice_silence(connection)
    return connection


def _not_answering(way: Way, what: str) -> NotAnswering:
    jump = f" -J {way.jump}" if way.jump else ""
    return NotAnswering(
        f"{what} (a connection to port {way.port} was tried for {CONNECT_SECONDS} s)",
        where=_where(way),
        next="see whether the machine has power and a firewall lets you in, then by hand: "
        f"ssh{jump} -p {way.port} {way.user}@{way.host} true",
    )


def _notice_silence(connection: "fabric.Connection | str | None") -> None:
    """A line that stalls ends within DEAD_SECONDS, on every hop: the beats of the keepalive have
    to be confirmed by the other kernel."""
    hop = connection
    while hop is not None and not isinstance(hop, str):
        transport = hop.client.get_transport()
        if transport is not None:
            transport.set_keepalive(KEEPALIVE_SECONDS)
            option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
            if option is not None and isinstance(transport.sock, socket.socket):
                with suppress(OSError):
                    transport.sock.setsockopt(socket.IPPROTO_TCP, option, DEAD_SECONDS * 1000)
        hop = hop.gateway


def _where(way: Way) -> str:
    return f"{way.node} ({way.host}:{way.port})"


def _pin(way: Way, host: str) -> str:
    """The name a host's key stands under: the node's own, or a jump host's address."""
    return way.node if host in (way.host, f"[{way.host}]:{way.port}") else host


def _accept_nothing_new(connection: "fabric.Connection | str | None") -> None:
    """On every hop, also those that ssh_config names: Fabric's own policy is to accept."""
    import paramiko

    hop = connection
    while hop is not None and not isinstance(hop, str):
        hop.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        hop = hop.gateway


def route(way: Way) -> "fabric.Connection":
    """The connection, not yet open, with everything ssh_config says about it."""
    import fabric

    config = fabric.Config(runtime_ssh_path=str(way.config) if way.config else None)
    keys: dict[str, object] = {"banner_timeout": 15, "auth_timeout": 15}
    if way.identity is not None:
        keys["key_filename"] = str(way.identity.expanduser())
    gateway = None
    if way.jump:
        gateway = fabric.Connection(
            way.jump, config=config, connect_timeout=CONNECT_SECONDS, connect_kwargs=dict(keys)
        )
        if way.known_hosts is not None and way.known_hosts.exists():
            gateway.client.load_system_host_keys(str(way.known_hosts))
    connection = fabric.Connection(
        way.host,
        user=way.user,
        port=way.port,
        gateway=gateway,
        config=config,
        connect_timeout=CONNECT_SECONDS,
        connect_kwargs=keys,
    )
    _accept_nothing_new(connection)
    return connection
