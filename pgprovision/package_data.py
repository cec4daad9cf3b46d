"""The folders that come with pgprovision: `templates` and `inventories`."""

from pathlib import Path

_PACKAGE = Path(__file__).parent


def packaged_folder(name: str) -> Path:
    """One of them: inside the package, or the checkout's own where an editable install
    has no packaged copy."""
    packaged = _PACKAGE / f"_{name}"
    return packaged if packaged.is_dir() else _PACKAGE.parent / name
