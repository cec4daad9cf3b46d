"""Secrets that are easy to find again, how they may be spelled, and a search for every spelling."""

import base64
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

SPECIAL_CHARACTERS = ("+/ä", '"=&@')  # what URLs, JSON and shells have to escape


@dataclass(frozen=True)
class Canary:
    """A secret by its name. `core` is the part that every way of quoting leaves alone."""

    name: str
    text: str
    core: str

    def spellings(self) -> dict[str, tuple[bytes, ...]]:
        """Seven ways to write it down."""
        text, core = self.text.encode(), self.core.encode()
        return {
            "raw": (core,),
            **{f"base64 at {offset}": (_base64(core, offset),) for offset in range(3)},
            "URL": (quote(self.text, safe="").encode(),),
            "hex": (core.hex().encode(), core.hex().upper().encode()),
            "JSON": (json.dumps(self.text)[1:-1].encode(), text),
        }


def known_secret(name: str, text: str) -> Canary:
    """A secret that somebody else made."""
    return Canary(name, text, text)


def new_password(name: str) -> Canary:
    """A password with characters that have to be quoted at both ends."""
    core = f"canary{secrets.token_hex(20)}"
    return Canary(name, core.join(SPECIAL_CHARACTERS), core)


def private_key(name: str, file: Path, line: int) -> Canary:
    """A private key, by the line of its text that holds its private half."""
    return known_secret(name, file.read_text().splitlines()[line])


@dataclass(frozen=True)
class Leak:
    """A canary found where it should not be. `where` is a sink, or a place in one."""

    canary: str
    spelling: str
    where: str


def patterns(canaries: Iterable[Canary]) -> str:
    """Every spelling of each, a line each: what grep -F takes with `-f -`."""
    spellings = {text for c in canaries for texts in c.spellings().values() for text in texts}
    return "\n".join(sorted(text.decode() for text in spellings)) + "\n"


def find_leaks(canaries: Iterable[Canary], sinks: Mapping[str, bytes]) -> list[Leak]:
    """What is found in the bytes of each sink."""
    return [
        Leak(canary.name, spelling, where)
        for canary in canaries
        for spelling, texts in canary.spellings().items()
        for where, content in sinks.items()
        if any(text in content for text in texts)
    ]


def folder_content(folder: Path, *excluding: Path) -> bytes:
    """Every file in a folder, as one, without those below `excluding`."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    included = (f for f in files if not any(f.is_relative_to(excluded) for excluded in excluding))
    return b"\n".join(f"{path.name}\n".encode() + path.read_bytes() for path in included)


def _base64(data: bytes, offset: int) -> bytes:
    """Those characters of the code that the data alone decides, `offset` bytes into something."""
    code = base64.b64encode(bytes(offset) + data).rstrip(b"=")
    first = (0, 2, 3)[offset]
    return code[first : len(code) - bool((offset + len(data)) % 3)]
