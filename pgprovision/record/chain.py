"""What ties records together: every line names the digest of the line before it.

The first line of a run names the last line of the run before it in that cluster, and the file
`head` the last line of all, so that what is missing at the end is noticed too.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

RECORD_FORMAT = 2  # of the lines; 1 had no digests
HEAD = "head"


def records_folder(cluster: str) -> Path:
    """The folder of a cluster's records on this controller."""
    state = os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(state) / "pgprovision" / cluster / "runs"


def make_private_folder(path: Path) -> None:
    """The folder is there; what of its path had to be made is nobody else's. Raises OSError."""
    for directory in reversed([path, *path.parents]):
        if not directory.exists():
            directory.mkdir(mode=0o700, exist_ok=True)


def digest(line: bytes) -> str:
    """Of one line, without its end."""
    return hashlib.sha256(line).hexdigest()


@dataclass(frozen=True)
class ChainLink:
    """A line of a run's record, by its digest."""

    run: str
    digest: str


def split_lines(data: bytes) -> tuple[tuple[bytes, ...], bytes]:
    """Whole lines, and what is left of one that was cut off."""
    *lines, rest = data.split(b"\n")
    return tuple(lines), rest


def read_head(runs: Path) -> ChainLink | None:
    """None where there is no head. Raises ValueError where it is not one."""
    try:
        found = json.loads((runs / HEAD).read_bytes())
        return ChainLink(str(found["run"]), str(found["digest"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{runs / HEAD} cannot be read") from error


def write_head(runs: Path, link: ChainLink, *, durable: bool) -> None:
    """The old one or the new one, never half. Not `durable`: after a power cut it may be older.
    Raises OSError."""
    new = runs / f".{HEAD}-{link.run}"
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(file, json.dumps(asdict(link)).encode() + b"\n")
        if durable:
            os.fsync(file)
        new.replace(runs / HEAD)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
    if durable:
        sync_directory(runs)


def sync_directory(directory: Path) -> None:
    """The names in it are on disk, too. Raises OSError."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(file: int, data: bytes) -> None:
    """A full disk takes a part without a word: go on until it refuses. Raises OSError."""
    while data:
        data = data[os.write(file, data) :]
