"""Whether wished settings fit the machine they are for: arithmetic, before anything is written.

Memory and disk in bytes. A number without a unit: as PostgreSQL's manual, chapter 20 (blocks
of 8 kB, kB or MB).
"""

import re
from collections.abc import Iterator, Mapping

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30
MIN_MEMORY = 448 * MB  # what a machine sold with 512 MB shows
MIN_DISK = 4 * GB  # the system, PostgreSQL and some WAL
_UNITS = {"b": 1, "kb": KB, "mb": MB, "gb": GB, "tb": 1 << 40}
_BARE = {"shared_buffers": 8 * KB, "work_mem": KB, "max_slot_wal_keep_size": MB}
_DEFAULTS = {"shared_buffers": 128 * MB, "work_mem": 4 * MB}


def parse_bytes(name: str, value: object) -> int | None:
    """A setting in bytes; None where it is no size.

    >>> parse_bytes("work_mem", "64MB") == parse_bytes("work_mem", 65536) == 64 << 20
    True
    """
    found = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]+)?) ?([kMGT]?B)?", str(value))
    if not found:
        return None
    unit = _UNITS[found[2].lower()] if found[2] else _BARE.get(name, 1)
    return int(float(found[1]) * unit)


def problems(settings: Mapping[str, object], memory: int, disk: int) -> Iterator[tuple[str, str]]:
    """What is wrong, and what to do, where PostgreSQL could not start or the disk would fill up."""
    for has, minimum, subject in (
        (memory, MIN_MEMORY, f"{_size(memory)} of memory"),
        (disk, MIN_DISK, f"a disk of {_size(disk)}"),
    ):
        if has < minimum:
            yield (
                f"{subject}; expected {_size(minimum)} or more",
                "expected for instance server_type",
            )
    for name, maximum, subject in (
        ("shared_buffers", memory, "memory"),
        ("work_mem", memory, "memory"),
        ("max_slot_wal_keep_size", disk, "disk"),
    ):
        size = parse_bytes(name, settings.get(name, ""))
        if size is not None and size >= maximum:
            limit = f"the machine's {subject}, {_size(maximum)}"
            text = f"{name} {settings[name]} is not less than {limit}"
            yield text, f"expected for instance {name}: {_size(maximum // 4)}"


def notes(settings: Mapping[str, object], memory: int) -> Iterator[str]:
    """What may be meant so and is worth knowing, with the numbers."""
    connections = int(str(settings.get("max_connections", 100)))
    shared, work = (
        parse_bytes(name, settings.get(name, default)) or 0 for name, default in _DEFAULTS.items()
    )
    total = shared + connections * work
    if total > 2 * memory:
        yield (
            f"{connections} connections x work_mem {_size(work)} + shared_buffers {_size(shared)} "
            f"are {_size(total)}; the machine has {_size(memory)}"
        )


def _size(number: int) -> str:
    """
    >>> _size(8 << 30), _size(3 << 29)
    ('8GB', '1536MB')
    """
    return f"{number // GB}GB" if number >= GB and number % GB == 0 else f"{number // MB}MB"
