"""The controller itself as a machine: the same frames, a local `sh`."""

import os
import select
import selectors
import subprocess
from collections.abc import Callable, Iterator, Sequence

from pgprovision.transport.connection import Channel


class LocalConnection:
    """A `sh` on this machine, or whatever `command` says reads a script from its stdin."""

    def __init__(self, command: Sequence[str] = ("sh", "-s")) -> None:
        self._command = command

    def run(
        self, script: bytes, remaining_seconds: Callable[[], float]
    ) -> Iterator[tuple[bytes, bytes]]:
        pipe = subprocess.PIPE
        with subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=pipe) as shell:
            assert shell.stdin and shell.stdout and shell.stderr
            try:
                with selectors.DefaultSelector() as ready:
                    ready.register(shell.stdout, selectors.EVENT_READ, "out")
                    ready.register(shell.stderr, selectors.EVENT_READ, "err")
                    yield from self._pump(shell, script, ready, remaining_seconds)
            finally:
                if shell.poll() is None:
                    shell.kill()

    def _pump(
        self,
        shell: "subprocess.Popen[bytes]",
        script: bytes,
        ready: selectors.BaseSelector,
        remaining_seconds: Callable[[], float],
    ) -> Iterator[tuple[bytes, bytes]]:
        assert shell.stdin
        ready.register(shell.stdin, selectors.EVENT_WRITE, "in")
        left = memoryview(script)
        while len(ready.get_map()) > (1 if left else 0):
            events = ready.select(remaining_seconds())
            if not events:
                raise TimeoutError("no answer within the action's timeout")
            for key, _ in events:
                if key.data == "in":
                    left = left[shell.stdin.raw.write(left[:4096]) or 0 :]  # type: ignore[attr-defined]
                    if not left:
                        ready.unregister(shell.stdin)
                        shell.stdin.close()
                    continue
                piece = key.fileobj.read1(65536)  # type: ignore[union-attr]
                if not piece:
                    ready.unregister(key.fileobj)
                elif key.data == "out":
                    yield piece, b""
                else:
                    yield b"", piece

    def open_channel(self, *command: str) -> "LocalChannel":
        return LocalChannel(command)

    def close(self) -> None:
        """Nothing is kept open."""


class LocalChannel(Channel):
    """A conversation with a program on this machine."""

    def __init__(self, command: Sequence[str]) -> None:
        pipe = subprocess.PIPE
        self._program = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, bufsize=0
        )

    def send_line(self, text: str) -> None:
        assert self._program.stdin
        self._program.stdin.write(text.encode() + b"\n")

    def _receive_bytes(self, seconds: float) -> bytes:
        assert self._program.stdout
        if not select.select([self._program.stdout], [], [], seconds)[0]:
            raise TimeoutError("no answer in time")
        return os.read(self._program.stdout.fileno(), 65536)

    def close(self) -> None:
        for stream in (self._program.stdin, self._program.stdout):
            if stream:
                stream.close()
        self._program.wait(10)
