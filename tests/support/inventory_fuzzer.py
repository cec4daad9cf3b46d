"""Mutated inventories, and what becomes of them: an inventory, or complaints and exit code 2.

`make fuzz` runs 100,000 of them; the same seed makes the same ones. What an `!command` of theirs
would run is not run.
"""

import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import yaml

from pgprovision.errors import InventoryError
from pgprovision.inventory.loader.loader import documents, validated
from pgprovision.inventory.loader.tags import Sources
from pgprovision.inventory.problems import BadInventory
from pgprovision.inventory.tagged_text import Sourced
from pgprovision.tasks import tiers
from tests.support.injection_strings import STRINGS
from tests.support.inventory_folders import INVENTORIES, copied
from tests.support.result_files import keep

PIECES = [
    *"\n\t :-[]{},#&*!|>'\"%@`?",
    "\n  ", ": ", "- ", "---\n", "...\n", "!!binary ", "!env ", "!file ", "!command [x]", "<<: ",
    "&a ", "*a", "\u00a0", "\u201c", "\x85", "\u2028", "\ufeff", "\0", "null", "~", "yes", "010",
    "1e999", "9" * 5000, "-1", "{}", "[]", "''", "cluster", "roles", "postgres", "hba", "settings",
    "databases", "nodes", "name", "password", "secrets/rails.password", "/", ".", "~nobody",
    "[key]", "0.0.0.0/0", "10.0.0.0/33", "::1", "16GB", ".inf",
]  # fmt: skip
NOW = datetime(2027, 1, 1, tzinfo=UTC)
SPARE = {
    "BACKUP_S3_KEY": "key-of-the-store",
    "BACKUP_S3_SECRET": "secret-of-the-store",
    "HCLOUD_TOKEN": "token-of-the-cloud",
}


class Mute(Sources):
    """Sources that run no program."""

    def command(self, argument: object) -> Sourced:
        raise ValueError("not run here")


@dataclass
class Tally:
    """How it ended."""

    ends: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, bytes, str]] = field(default_factory=list)


class Ground:
    """Copies of the shipped inventories, and their files as they were."""

    def __init__(self, path: Path) -> None:
        environment = dict(SPARE)
        names = sorted(folder.parent.name for folder in INVENTORIES.glob("*/cluster.yml"))
        self.folders = [copied(name, path / name, environment.__setitem__) for name in names]
        self.environment = environment | SPARE
        self.files = [
            (folder, file, re.sub(rb"(?m)(^| +)#.*\n?$", b"", file.read_bytes()))
            for folder in self.folders
            for file in sorted(folder.rglob("*.yml"))
        ]
        self.secrets = {
            text
            for folder in self.folders
            for file in (folder / "secrets").iterdir()
            if file.suffix in (".password", ".passphrase") and (text := file.read_text().strip())
        }

    def end(self, folder: Path, file: Path, content: bytes) -> str:
        """How an inventory with this file ends. Raises whatever must not happen."""
        file.write_bytes(content)
        try:
            inventory = validated(documents(folder, Mute(folder, self.environment), {}))
        except BadInventory as wrong:
            said = str(wrong)
            assert wrong.exit_code == 2 and wrong.complaints
            assert all(str(c).startswith(f"{folder}") for c in wrong.complaints)
            assert not any(secret in said for secret in self.secrets)
            return "complaints"
        for tier in tiers(inventory, inventory.nodes, NOW):
            for resource in tier.resources:
                resource.probe()
        return "an inventory"

    def run(self, seed: int, count: int) -> Tally:
        """`count` mutations, each by a number of its own."""
        tally = Tally()
        for number in range(count):
            chance = random.Random(f"{seed} {number}")
            folder, file, right = chance.choice(self.files)
            content = mutated(right, chance)
            try:
                tally.ends[self.end(folder, file, content)] += 1
            except InventoryError as wrong:
                tally.ends["refused only when planned"] += 1
                tally.failures.append((number, content, f"only when planned: {wrong}"))
            except Exception as wrong:
                tally.ends["a traceback"] += 1
                tally.failures.append((number, content, repr(wrong)))
            finally:
                file.write_bytes(right)
        return tally


def mutated(right: bytes, chance: random.Random) -> bytes:
    """The file with one to four mutations, of bytes or of structure."""
    kinds: Sequence[Callable[[bytes, random.Random], bytes]] = (_bytes, _pieces, _lines, _tree)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        right = chance.choice((*kinds, _tree))(right, chance)
    return right


def _bytes(text: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.randbytes(chance.randrange(4)) + text[at + chance.randrange(4) :]


def _pieces(text: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(text) + 1)
    piece = "".join(chance.choices([*PIECES, *STRINGS], k=chance.randrange(1, 4)))
    end = at + chance.randrange(12)
    return text[:at] + piece.encode("utf-8", "surrogatepass") + text[end:]


def _lines(text: bytes, chance: random.Random) -> bytes:
    lines = text.splitlines(keepends=True) or [b""]
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            lines[at] = b"  " * chance.randrange(3) + lines[at].lstrip()
    return b"".join(lines)


def _tree(text: bytes, chance: random.Random) -> bytes:
    """A value put out, twice, elsewhere, or made something else."""
    try:
        whole = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        nodes = _holders(whole)
    except (yaml.YAMLError, ValueError, RecursionError):
        return _bytes(text, chance)
    if not nodes:
        return _bytes(text, chance)
    holder, other = chance.choice(nodes), chance.choice(nodes)
    at = chance.randrange(len(holder.value))
    item, spare = holder.value[at], chance.choice(other.value)
    value = deepcopy(spare[1] if isinstance(spare, tuple) else spare)
    match chance.randrange(6):
        case 0:
            del holder.value[at]
        case 1:
            holder.value.append(item)
        case 2:
            _put(holder, at, value)
        case 3:
            _put(holder, at, _scalar(chance.choice([*STRINGS, *PIECES])))
        case 4:
            _put(holder, at, chance.choice((yaml.SequenceNode, yaml.MappingNode))("", []))
        case _:
            if isinstance(item, tuple):
                name = _scalar(chance.choice([*STRINGS, *PIECES, item[1].value]))
                holder.value[at] = (name, item[1])
            else:
                _put(holder, at, yaml.SequenceNode("tag:yaml.org,2002:seq", [item]))
    try:
        return bytes(yaml.serialize(whole, allow_unicode=True, encoding="utf-8"))
    except (yaml.YAMLError, UnicodeEncodeError, RecursionError, AttributeError, TypeError):
        return _bytes(text, chance)


def _holders(node: yaml.Node | None) -> list[yaml.CollectionNode]:
    """Every list and mapping that has something in it."""
    if not isinstance(node, yaml.CollectionNode) or not node.value:
        return []
    inner = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
    return [node, *(found for part in inner for found in _holders(part))]


def _put(holder: yaml.CollectionNode, at: int, value: yaml.Node) -> None:
    item = holder.value[at]
    holder.value[at] = (item[0], value) if isinstance(item, tuple) else value


def _scalar(text: object) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", str(text), style='"')


def main() -> int:
    """`python -m tests.support.inventory_fuzzer [COUNT] [SEED]`: how all ended, and how fast."""
    count, seed = (int(word) for word in [*sys.argv[1:], *("100000", "1")[len(sys.argv) - 1 :]])
    os.environ.pop("HCLOUD_TOKEN", None)
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        tally = Ground(Path(name)).run(seed, count)
        seconds = time.monotonic() - began
    for number, content, wrong in tally.failures[:20]:
        print(f"mutation {number}: {wrong}\n    {content[:200]!r}")
    kept = {"inventories": count, "seed": seed, "seconds": round(seconds), **tally.ends}
    keep("fuzz", {**kept, "tracebacks": tally.ends["a traceback"]})
    ends = ", ".join(f"{many} {end}" for end, many in tally.ends.most_common())
    print(f"{count} mutated inventories, seed {seed}: {ends}; {count / seconds:.0f} a second")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
