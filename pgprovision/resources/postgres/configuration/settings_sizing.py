"""Settings computed from a host's memory, cores and disk. Pure arithmetic.

The figures are for a host that PostgreSQL has to itself, with local NVMe storage. They follow what
autobase, TPA, Pigsty and Ubicloud agree on; where they differ, the reason says why.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgprovision.errors import InventoryError
from pgprovision.quantity import GB, MB, format_bytes

AUTOVACUUM_WORKERS = 3  # autovacuum_max_workers, at its default
CONNECTIONS_PER_CORE = 50  # more than this wants a pooler in front


@dataclass(frozen=True)
class ConfSetting:
    """A line of postgresql.conf."""

    name: str
    value: str | int | float | bool
    why: str = ""
    """Where the value comes from, or what it is for; written as a comment."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)*", self.name, re.ASCII):
            raise InventoryError(f"not the name of a PostgreSQL setting: {self.name!r}")

    @property
    def comment(self) -> str:
        return f"  # {self.why}" if self.why else ""


@dataclass(frozen=True)
class ConfSection:
    """Settings under one heading."""

    title: str
    settings: tuple[ConfSetting, ...]


@dataclass(frozen=True)
class MachineSize:
    """The size of a host."""

    memory: int
    """Bytes."""
    cores: int
    disk: int
    """Bytes."""

    def nominal(self) -> "MachineSize":
        """Rounded, as the kernel reserves some memory and disk, and not always the same: a new
        kernel must not change settings and cause a restart."""
        step = GB if self.memory >= 2 * GB else 128 * MB
        memory = -(-self.memory // step) * step
        return MachineSize(memory, self.cores, max(GB, self.disk // GB * GB))


def sized_sections(
    machine: MachineSize, *, max_connections: int = 200, version: int = 15
) -> Iterator[ConfSection]:
    """The settings that depend on the size of the host."""
    machine = machine.nominal()
    yield ConfSection("Memory", tuple(_memory(machine, max_connections)))
    yield ConfSection("WAL and checkpoints", tuple(_wal(machine, version)))


def _memory(machine: MachineSize, connections: int) -> Iterator[ConfSetting]:
    ram = machine.memory
    per_core = connections // machine.cores
    crowded = f"{per_core} per core: above {CONNECTIONS_PER_CORE} put a pooler in front"
    yield ConfSetting(
        "max_connections", connections, crowded if per_core > CONNECTIONS_PER_CORE else ""
    )
    yield ConfSetting("shared_buffers", _in_mb(ram // 4), f"a quarter of {_in_mb(ram)}")
    yield ConfSetting("huge_pages", "try", "used where the kernel has reserved them")
    yield ConfSetting(
        "effective_cache_size",
        _in_mb(ram * 11 // 16),
        "what shared buffers and page cache hold",
    )
    yield ConfSetting(
        "work_mem",
        _in_mb(_clamp(ram // 4 // connections, 4 * MB, 64 * MB)),
        "a quarter of memory over all connections, 4 to 64 MB",
    )
    yield ConfSetting(
        "maintenance_work_mem", _in_mb(min(ram // 16, 2 * GB)), "memory / 16, up to 2 GB"
    )
    yield ConfSetting(
        "autovacuum_work_mem",
        _in_mb(ram // 16 // AUTOVACUUM_WORKERS),
        f"memory / 16 over {AUTOVACUUM_WORKERS} workers",
    )
    yield ConfSetting("temp_file_limit", _in_mb(machine.disk // 10), "a tenth of the disk")


def _wal(machine: MachineSize, version: int) -> Iterator[ConfSetting]:
    disk = machine.disk
    yield ConfSetting("wal_level", "logical", "leaves the way open to upgrades without downtime")
    yield ConfSetting("wal_compression", "lz4" if version >= 15 else True, "less WAL to ship")
    yield ConfSetting("wal_log_hints", True, "pg_rewind needs it where checksums are off")
    yield ConfSetting("max_wal_size", _in_mb(_clamp(disk // 20, 2 * GB, 64 * GB)), "5% of the disk")
    yield ConfSetting("checkpoint_timeout", "15min", "fewer full-page images")
    yield ConfSetting("checkpoint_completion_target", 0.9, "writes spread over the interval")
    yield ConfSetting(
        "wal_keep_size", _in_mb(min(512 * MB, disk // 20)), "for a replica without slot"
    )
    yield ConfSetting(
        "max_slot_wal_keep_size",
        _in_mb(disk // 5),
        "a fifth of the disk: beyond it a slot is lost, not the primary",
    )
    yield ConfSetting("max_wal_senders", 10, "the same on every node")
    yield ConfSetting("max_replication_slots", 10, "the same on every node")
    yield ConfSetting(
        "hot_standby_feedback", True, "queries on replicas are not cancelled by vacuum"
    )
    yield ConfSetting("max_standby_streaming_delay", "30s", "then replay goes first")


def general_sections() -> Iterator[ConfSection]:
    """The settings that do not depend on the size of the host."""
    yield ConfSection(
        "Planner",
        (
            ConfSetting("random_page_cost", 1.1, "local NVMe"),
            ConfSetting("effective_io_concurrency", 200, "local NVMe"),
            ConfSetting("jit", False, "costs short queries more than it saves long ones"),
        ),
    )
    yield ConfSection(
        "Autovacuum",
        (
            ConfSetting("autovacuum_naptime", "30s"),
            ConfSetting("autovacuum_vacuum_cost_limit", 400, "twice the default: local NVMe"),
            ConfSetting("autovacuum_vacuum_cost_delay", "2ms"),
            ConfSetting("autovacuum_vacuum_scale_factor", 0.05, "before a big table bloats"),
            ConfSetting("autovacuum_analyze_scale_factor", 0.02),
        ),
    )
    yield ConfSection(
        "What is logged, and kept count of",
        (
            ConfSetting("log_line_prefix", "%m [%p] %q%u@%d/%a %h "),
            ConfSetting("log_connections", True),
            ConfSetting("log_disconnections", True),
            ConfSetting("log_statement", "ddl"),
            ConfSetting("log_min_duration_statement", "500ms"),
            ConfSetting("log_lock_waits", True),
            ConfSetting("log_checkpoints", True),
            ConfSetting("log_temp_files", "10MB"),
            ConfSetting("log_autovacuum_min_duration", "1s"),
            ConfSetting("shared_preload_libraries", "pg_stat_statements,auto_explain"),
            ConfSetting("auto_explain.log_min_duration", "10s"),
        ),
    )
    yield ConfSection(
        "Sessions",
        (
            ConfSetting("idle_in_transaction_session_timeout", "10min", "it holds back vacuum"),
            ConfSetting("timezone", "Etc/UTC"),
            ConfSetting("log_timezone", "Etc/UTC"),
            ConfSetting("lc_messages", "C", "the server log in one language"),
            ConfSetting("default_text_search_config", "pg_catalog.english"),
        ),
    )


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


def _in_mb(number: int) -> str:
    return format_bytes(number, "MB")
