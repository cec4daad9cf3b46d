"""Mutated inventories, and what becomes of them: an inventory, or problems and exit code 2.

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
from pgprovision.inventory.loader.loader import read_documents, validate
from pgprovision.inventory.problems import BadInventory
from pgprovision.inventory.reference import Reference
from pgprovision.inventory.resolver import Answer, Resolver
from pgprovision.tasks import tiers
from tests.support.injection_strings import INJECTION_STRINGS
from tests.support.inventory_folders import INVENTORIES, copy_inventory
from tests.support.result_files import write_result

FRAGMENTS = [
    *"\n\t :-[]{},#&*!|>'\"%@`?",
    "\n  ", ": ", "- ", "---\n", "...\n", "!!binary ", "!env ", "!file ", "!command [x]", "<<: ",
    "&a ", "*a", "\u00a0", "\u201c", "\x85", "\u2028", "\ufeff", "\0", "null", "~", "yes", "010",
    "1e999", "9" * 5000, "-1", "{}", "[]", "''", "cluster", "roles", "postgres", "hba", "settings",
    "databases", "nodes", "name", "password", "secrets/rails.password", "/", ".", "~nobody",
    "[key]", "0.0.0.0/0", "10.0.0.0/33", "::1", "16GB", ".inf",
]  # fmt: skip
NOW = datetime(2027, 1, 1, tzinfo=UTC)
TEST_ENVIRONMENT = {
    "BACKUP_S3_KEY": "key-of-the-store",
    "BACKUP_S3_SECRET": "secret-of-the-store",
    "HCLOUD_TOKEN": "token-of-the-cloud",
}


class NoCommandResolver(Resolver):
    """A resolver that runs no program."""

    def run_command(self, reference: Reference) -> Answer:
        return Answer(error="not run here")


@dataclass
class FuzzResult:
    """How it ended."""

    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, bytes, str]] = field(default_factory=list)


class FuzzTarget:
    """Copies of the shipped inventories, and their files as they were."""

    def __init__(self, path: Path) -> None:
        environment = dict(TEST_ENVIRONMENT)
        names = sorted(folder.parent.name for folder in INVENTORIES.glob("*/cluster.yml"))
        self.folders = [
            copy_inventory(name, path / name, environment.__setitem__) for name in names
        ]
        self.environment = environment | TEST_ENVIRONMENT
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

    def outcome_of(self, folder: Path, file: Path, content: bytes) -> str:
        """How an inventory with this file ends. Raises whatever must not happen."""
        file.write_bytes(content)
        try:
            resolver = NoCommandResolver(folder, self.environment)
            inventory = validate(read_documents(folder), resolver)
        except BadInventory as error:
            message = str(error)
            assert error.exit_code == 2 and error.problems
            assert all(str(c).startswith(f"{folder}") for c in error.problems)
            assert not any(secret in message for secret in self.secrets)
            return "problems"
        for tier in tiers(inventory, inventory.nodes, NOW):
            for resource in tier.resources:
                resource.probe()
        return "an inventory"

    def run(self, seed: int, count: int) -> FuzzResult:
        """`count` mutations, each by a number of its own."""
        result = FuzzResult()
        for number in range(count):
            rng = random.Random(f"{seed} {number}")
            folder, file, original = rng.choice(self.files)
            content = mutate(original, rng)
            try:
                result.outcomes[self.outcome_of(folder, file, content)] += 1
            except InventoryError as error:
                result.outcomes["refused only when planned"] += 1
                result.failures.append((number, content, f"only when planned: {error}"))
            except Exception as error:
                result.outcomes["a traceback"] += 1
                result.failures.append((number, content, repr(error)))
            finally:
                file.write_bytes(original)
        return result


def mutate(content: bytes, rng: random.Random) -> bytes:
    """The file with one to four mutations, of bytes or of structure."""
    kinds: Sequence[Callable[[bytes, random.Random], bytes]] = (_bytes, _pieces, _lines, _tree)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = rng.choice((*kinds, _tree))(content, rng)
    return content


def _bytes(text: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.randbytes(rng.randrange(4)) + text[at + rng.randrange(4) :]


def _pieces(text: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(text) + 1)
    piece = "".join(rng.choices([*FRAGMENTS, *INJECTION_STRINGS], k=rng.randrange(1, 4)))
    end = at + rng.randrange(12)
    return text[:at] + piece.encode("utf-8", "surrogatepass") + text[end:]


def _lines(text: bytes, rng: random.Random) -> bytes:
    lines = text.splitlines(keepends=True) or [b""]
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            del lines[at]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case _:
            lines[at] = b"  " * rng.randrange(3) + lines[at].lstrip()
    return b"".join(lines)


def _tree(text: bytes, rng: random.Random) -> bytes:
    """A value put out, twice, elsewhere, or made something else."""
    try:
        node = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        nodes = _collections(node)
    except (yaml.YAMLError, ValueError, RecursionError):
        return _bytes(text, rng)
    if not nodes:
        return _bytes(text, rng)
    parent, other = rng.choice(nodes), rng.choice(nodes)
    at = rng.randrange(len(parent.value))
    item, spare = parent.value[at], rng.choice(other.value)
    value = deepcopy(spare[1] if isinstance(spare, tuple) else spare)
    match rng.randrange(6):
        case 0:
            del parent.value[at]
        case 1:
            parent.value.append(item)
        case 2:
            _put(parent, at, value)
        case 3:
            _put(parent, at, _scalar(rng.choice([*INJECTION_STRINGS, *FRAGMENTS])))
        case 4:
            _put(parent, at, rng.choice((yaml.SequenceNode, yaml.MappingNode))("", []))
        case _:
            if isinstance(item, tuple):
                name = _scalar(rng.choice([*INJECTION_STRINGS, *FRAGMENTS, item[1].value]))
                parent.value[at] = (name, item[1])
            else:
                _put(parent, at, yaml.SequenceNode("tag:yaml.org,2002:seq", [item]))
    try:
        return bytes(yaml.serialize(node, allow_unicode=True, encoding="utf-8"))
    except (yaml.YAMLError, UnicodeEncodeError, RecursionError, AttributeError, TypeError):
        return _bytes(text, rng)


def _collections(node: yaml.Node | None) -> list[yaml.CollectionNode]:
    """Every list and mapping that has something in it."""
    if not isinstance(node, yaml.CollectionNode) or not node.value:
        return []
    inner = [part for item in node.value for part in (item if isinstance(item, tuple) else (item,))]
    return [node, *(found for part in inner for found in _collections(part))]


def _put(parent: yaml.CollectionNode, at: int, value: yaml.Node) -> None:
    item = parent.value[at]
    parent.value[at] = (item[0], value) if isinstance(item, tuple) else value


def _scalar(text: object) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", str(text), style='"')


def main() -> int:
    """`python -m tests.support.inventory_fuzzer [COUNT] [SEED]`: how all ended, and how fast."""
    count, seed = (int(word) for word in [*sys.argv[1:], *("100000", "1")[len(sys.argv) - 1 :]])
    os.environ.pop("HCLOUD_TOKEN", None)
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        result = FuzzTarget(Path(name)).run(seed, count)
        seconds = time.monotonic() - began
    for number, content, error in result.failures[:20]:
        print(f"mutation {number}: {error}\n    {content[:200]!r}")
    document = {"inventories": count, "seed": seed, "seconds": round(seconds), **result.outcomes}
    write_result("fuzz", {**document, "tracebacks": result.outcomes["a traceback"]})
    ends = ", ".join(f"{many} {end}" for end, many in result.outcomes.most_common())
    print(f"{count} mutated inventories, seed {seed}: {ends}; {count / seconds:.0f} a second")
    return 1 if result.failures else 0


if __name__ == "__main__":
    sys.exit(main())
