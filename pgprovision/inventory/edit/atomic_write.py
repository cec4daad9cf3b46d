"""Files of an inventory that are ours to write, whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pgprovision.errors import InventoryError


def create_file(path: Path, content: bytes, mode: int) -> None:
    """Writes a file that does not exist yet; never leaves half of it.

    Raises InventoryError where it exists."""
    with _temporary_file(path, content, mode) as new:
        try:
            os.link(new, path)
        except FileExistsError:
            text = "exists already: another process wrote it"
            raise InventoryError(text, where=str(path)) from None


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """Puts another file in a file's place, in one step."""
    with _temporary_file(path, content, mode) as new:
        new.rename(path)


def sync_folder(folder: Path) -> None:
    """What was renamed or removed in a folder stays so after a crash."""
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


@contextmanager
def _temporary_file(path: Path, content: bytes, mode: int) -> Iterator[Path]:
    """The content in a file beside, complete and synced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield new
    finally:
        new.unlink(missing_ok=True)
    sync_folder(path.parent)
