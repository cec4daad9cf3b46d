"""Whether declared settings fit the memory and disk of their machine. Arithmetic, in bytes."""

from collections.abc import Iterator, Mapping

from pgprovision.quantity import GB, MB, format_bytes, parse_bytes

MIN_MEMORY = 448 * MB  # what a host sold with 512 MB shows
MIN_DISK = 4 * GB  # the system, PostgreSQL and some WAL
_BASE_UNITS = {"shared_buffers": "8kB", "work_mem": "kB", "max_slot_wal_keep_size": "MB"}
_DEFAULTS = {"shared_buffers": "128MB", "work_mem": "4MB"}  # PostgreSQL's own


def size_of(name: str, value: object) -> int | None:
    """A setting in bytes; None where it is no size.

    >>> size_of("work_mem", "64MB") == size_of("work_mem", 65536) == 64 * MB
    True
    """
    return parse_bytes(value, _BASE_UNITS.get(name, "B"))


def problems(settings: Mapping[str, object], memory: int, disk: int) -> Iterator[tuple[str, str]]:
    """What is wrong, and what to do: PostgreSQL could not start, or the disk would fill up."""
    for has, minimum, subject in (
        (memory, MIN_MEMORY, f"{_in_mb(memory)} of memory"),
        (disk, MIN_DISK, f"a disk of {_in_mb(disk)}"),
    ):
        if has < minimum:
            yield (
                f"{subject}; expected {_in_mb(minimum)} or more",
                "choose a larger server_type",
            )
    for name, maximum, subject in (
        ("shared_buffers", memory, "memory"),
        ("work_mem", memory, "memory"),
        ("max_slot_wal_keep_size", disk, "disk"),
    ):
        size = size_of(name, settings.get(name, ""))
        if size is not None and size >= maximum:
            limit = f"the machine's {subject}, {_in_mb(maximum)}"
            text = f"{name} {settings[name]} is not less than {limit}"
            yield text, f"set, for example, {name}: {_in_mb(maximum // 4)}"


def notes(settings: Mapping[str, object], memory: int) -> Iterator[str]:
    """What may be intended and is worth knowing, with the numbers."""
    connections = int(str(settings.get("max_connections", 100)))
    shared, work = (
        size_of(name, settings.get(name, default)) or 0 for name, default in _DEFAULTS.items()
    )
    total = shared + connections * work
    if total > 2 * memory:
        sizes = f"work_mem {_in_mb(work)} + shared_buffers {_in_mb(shared)}"
        yield (
            f"{connections} connections x {sizes} are {_in_mb(total)}; "
            f"the machine has {_in_mb(memory)}"
        )


def _in_mb(number: int) -> str:
    return format_bytes(number, "MB")
