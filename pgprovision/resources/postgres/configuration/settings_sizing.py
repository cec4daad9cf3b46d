"""What a machine's memory, cores and disk mean for postgresql.conf. Pure arithmetic.

The figures are for a machine that PostgreSQL has to itself, with local NVMe storage. They follow
what autobase, TPA, Pigsty and Ubicloud agree on; where they differ, the reason says why.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgprovision.errors import InventoryError

MB = 1 << 20
GB = 1 << 30
WORKERS = 3  # autovacuum_max_workers, at its default
CONNECTIONS_PER_CORE = 50  # more than this wants a pooler in front


@dataclass(frozen=True)
class Setting:
    """A line of postgresql.conf, and why it says what it says."""

    name: str
    value: str | int | float | bool
    why: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)*", self.name, re.ASCII):
            raise InventoryError(f"not the name of a PostgreSQL setting: {self.name!r}")

    @property
    def comment(self) -> str:
        return f"  # {self.why}" if self.why else ""


@dataclass(frozen=True)
class Section:
    """Lines that belong together."""

    title: str
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class Machine:
    """Memory and disk in bytes."""

    memory: int
    cores: int
    disk: int

    def as_sold(self) -> "Machine":
        """The kernel keeps a little memory and disk for itself, and not always the same: rounded,
        so that a new kernel does not mean new settings and a restart."""
        step = GB if self.memory >= 2 * GB else 128 * MB
        memory = -(-self.memory // step) * step
        return Machine(memory, self.cores, max(GB, self.disk // GB * GB))


def sized(machine: Machine, *, max_connections: int = 200, version: int = 15) -> Iterator[Section]:
    """Sections of settings for this machine."""
    machine = machine.as_sold()
    yield Section("Memory", tuple(_memory(machine, max_connections)))
    yield Section("WAL and checkpoints", tuple(_wal(machine, version)))


def _memory(machine: Machine, connections: int) -> Iterator[Setting]:
    ram = machine.memory
    per_core = connections // machine.cores
    crowded = f"{per_core} per core: above {CONNECTIONS_PER_CORE} put a pooler in front"
    yield Setting(
        "max_connections", connections, crowded if per_core > CONNECTIONS_PER_CORE else ""
    )
    yield Setting("shared_buffers", _size(ram // 4), f"a quarter of {_size(ram)}")
    yield Setting("huge_pages", "try", "used where the kernel has reserved them")
    yield Setting(
        "effective_cache_size", _size(ram * 11 // 16), "what shared buffers and page cache hold"
    )
    yield Setting(
        "work_mem",
        _size(_clamp(ram // 4 // connections, 4 * MB, 64 * MB)),
        "a quarter of memory over all connections, 4 to 64 MB",
    )
    yield Setting("maintenance_work_mem", _size(min(ram // 16, 2 * GB)), "memory / 16, up to 2 GB")
    yield Setting(
        "autovacuum_work_mem", _size(ram // 16 // WORKERS), f"memory / 16 over {WORKERS} workers"
    )
    yield Setting("temp_file_limit", _size(machine.disk // 10), "a tenth of the disk")


def _wal(machine: Machine, version: int) -> Iterator[Setting]:
    disk = machine.disk
    yield Setting("wal_level", "logical", "leaves the way open to upgrades without downtime")
    yield Setting("wal_compression", "lz4" if version >= 15 else True, "less WAL to ship")
    yield Setting("wal_log_hints", True, "pg_rewind needs it where checksums are off")
    yield Setting("max_wal_size", _size(_clamp(disk // 20, 2 * GB, 64 * GB)), "5% of the disk")
    yield Setting("checkpoint_timeout", "15min", "fewer full-page images")
    yield Setting("checkpoint_completion_target", 0.9, "writes spread over the interval")
    yield Setting("wal_keep_size", _size(min(512 * MB, disk // 20)), "for a replica without slot")
    yield Setting(
        "max_slot_wal_keep_size",
        _size(disk // 5),
        "a fifth of the disk: beyond it a slot is lost, not the primary",
    )
    yield Setting("max_wal_senders", 10, "the same on every node")
    yield Setting("max_replication_slots", 10, "the same on every node")
    yield Setting("hot_standby_feedback", True, "queries on replicas are not cancelled by vacuum")
    yield Setting("max_standby_streaming_delay", "30s", "then replay goes first")


def habits() -> Iterator[Section]:
    """Settings that do not depend on the machine."""
    yield Section(
        "Planner",
        (
            Setting("random_page_cost", 1.1, "local NVMe"),
            Setting("effective_io_concurrency", 200, "local NVMe"),
            Setting("jit", False, "costs short queries more than it saves long ones"),
        ),
    )
    yield Section(
        "Autovacuum",
        (
            Setting("autovacuum_naptime", "30s"),
            Setting("autovacuum_vacuum_cost_limit", 400, "twice the default: local NVMe"),
            Setting("autovacuum_vacuum_cost_delay", "2ms"),
            Setting("autovacuum_vacuum_scale_factor", 0.05, "before a big table bloats"),
            Setting("autovacuum_analyze_scale_factor", 0.02),
        ),
    )
    yield Section(
        "What is logged, and kept count of",
        (
            Setting("log_line_prefix", "%m [%p] %q%u@%d/%a %h "),
            Setting("log_connections", True),
            Setting("log_disconnections", True),
            Setting("log_statement", "ddl"),
            Setting("log_min_duration_statement", "500ms"),
            Setting("log_lock_waits", True),
            Setting("log_checkpoints", True),
            Setting("log_temp_files", "10MB"),
            Setting("log_autovacuum_min_duration", "1s"),
            Setting("shared_preload_libraries", "pg_stat_statements,auto_explain"),
            Setting("auto_explain.log_min_duration", "10s"),
        ),
    )
    yield Section(
        "Sessions",
        (
            Setting("idle_in_transaction_session_timeout", "10min", "it holds back vacuum"),
            Setting("timezone", "Etc/UTC"),
            Setting("log_timezone", "Etc/UTC"),
            Setting("lc_messages", "C", "the server log in one language"),
            Setting("default_text_search_config", "pg_catalog.english"),
        ),
    )


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


def _size(number: int) -> str:
    """Bytes as PostgreSQL writes them, in whole MB or GB."""
    return f"{number // GB}GB" if number % GB == 0 and number else f"{max(1, number // MB)}MB"
