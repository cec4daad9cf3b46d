"""New files, whole or not at all."""

import os
import secrets
from pathlib import Path

from pgprovision.errors import InventoryError


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Writes a file that does not exist yet; never leaves half of it.

    Raises InventoryError where it exists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(new, path)
    except FileExistsError:
        raise InventoryError("was written by somebody else just now", where=str(path)) from None
    finally:
        new.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
