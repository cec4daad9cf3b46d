"""The replication slots of a cluster, as `status` shows them."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pgprovision.resources.postgres.replication.slot import retained_bytes, slot_node
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot


@dataclass(frozen=True)
class SlotStatus:
    """A slot on a writable `node`. `replica`: the one it belongs to, None where not one of ours;
    one of ours that nobody declares is `abandoned`."""

    name: str
    node: str
    replica: str | None
    active: bool
    wal_status: str | None
    retained_bytes: int | None
    abandoned: bool


def slot_statuses(
    writable: Mapping[str, ServerSnapshot], declared: Container[str]
) -> Iterator[SlotStatus]:
    """Every slot on these nodes."""
    for on, server in writable.items():
        for name, row in sorted(server.slots.items()):
            yield SlotStatus(
                name=name,
                node=on,
                replica=slot_node(name),
                active=bool(row["active"]),
                wal_status=row["wal_status"],
                retained_bytes=retained_bytes(row, server),
                abandoned=slot_node(name) is not None and name not in declared,
            )


def slot_problems(slots: Iterable[SlotStatus]) -> Iterator[str]:
    """What somebody has to decide, and the command for it."""
    for slot in slots:
        if slot.abandoned:
            retained_wal = (
                f"{slot.retained_bytes / 1e6:.0f} MB" if slot.retained_bytes else "no WAL"
            )
            yield (
                f"{slot.node}: slot {slot.name} is of a node that is not in the inventory, and"
                f" holds {retained_wal} back\n  next: pgprovision remove-replica {slot.replica}"
            )
        elif slot.replica and slot.wal_status == "lost":
            yield (
                f"{slot.node}: slot {slot.name} is lost: {slot.replica} was away for longer than"
                " max_slot_wal_keep_size holds\n  next: start it; unless it catches up from the"
                f" archive: pgprovision re-clone {slot.replica}"
            )
