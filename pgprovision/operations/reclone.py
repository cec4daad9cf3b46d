"""Re-clones a replica from its primary or a backup: its data are set aside first.

For a replica with a lost slot or damaged data, or a former primary that was stopped for good.
Never for a node that accepts writes, or that others stream from.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from pgprovision import tasks
from pgprovision.engine.model import Answer, Probe, Tier
from pgprovision.errors import Refused
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.quote import sh
from pgprovision.resources.postgres.server.instance import Instance, in_progress_file
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot
from pgprovision.resources.postgres.server.split_brain import describe_writer
from pgprovision.run.approval import NameConfirmation
from pgprovision.run.operation import Operation, Prepared
from pgprovision.run.targets import Targets
from pgprovision.tasks import intent
from pgprovision.tasks.paths import instance, snapshot


@dataclass(frozen=True)
class ReClone(Operation):
    """`re-clone NAME`: its data are renamed aside, and it is seeded again."""

    command: ClassVar[str] = "re-clone"
    name: str
    confirm: str = ""
    """The name, to confirm without a prompt."""

    def check(self, inventory: Inventory) -> None:
        inventory.node(self.name)

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        node, primary = inventory.node(self.name), inventory.primary.name
        query, data = snapshot(inventory), existing_data_probe(instance(inventory))
        here = targets[node.name].observe((data, query.probe())) if node.role == "replica" else {}
        there = targets[primary].observe((query.probe(),))
        replica = here if isinstance(here, dict) else {}
        upstream = there if isinstance(there, dict) else {}
        existing = parse_existing_data(replica[data]) if replica else ExistingData()
        server = query.running_server(replica.get(query.probe()))
        upstream_server = query.running_server(upstream.get(query.probe()))
        check(node, existing, server, primary, upstream_server)
        return Prepared(
            tiers=tiers(inventory, node, existing, datetime.now(UTC)),
            confirmation=NameConfirmation(
                self.name,
                f"Type {self.name} to rename its data aside and clone it again",
                given=self.confirm,
                noun="the replica's",
            ),
        )


@dataclass(frozen=True)
class ExistingData:
    """The data directory a node has now. No `inode`: none, or one that is being made already."""

    inode: str = ""
    standby: bool = True
    timeline: int = 0


def existing_data_probe(instance: Instance) -> Probe:
    """How the data directory of a node is, running or not."""
    data = sh(instance.data_directory)
    control = sh(f"{instance.bin_directory}/pg_controldata", "-D", instance.data_directory)
    return Probe(
        f"[ -d {data} ] && [ ! -e {sh(in_progress_file(instance))} ] || exit 4; stat -c %i {data}\n"
        f"[ ! -e {data}/PG_VERSION ] || [ -e {data}/standby.signal ]\n"
        "[ $? = 0 ] && echo standby || echo primary\n"
        f'LC_ALL=C {control} 2>/dev/null | sed -n "s/^Latest checkpoint\'s TimeLineID: *//p"'
    )


def parse_existing_data(answer: Answer) -> ExistingData:
    if answer.code:
        return ExistingData()
    inode, role, *timeline = answer.text.split()
    return ExistingData(inode, role == "standby", int(timeline[0]) if timeline else 0)


def check(
    node: Node,
    existing: ExistingData,
    server: ServerSnapshot | None,
    primary: str,
    upstream: ServerSnapshot | None,
) -> None:
    """Raises Refused where there are, or may be, writes on this node that nobody else has."""
    name, done = node.name, "nothing was changed"
    if node.is_primary:
        raise Refused(
            f"{name} is the primary by the inventory, and is never cloned over",
            done=done,
            next="pgprovision status shows who is primary",
        )
    if node.is_copy:
        raise Refused(
            f"{name} is a restored copy, and follows nobody",
            done=done,
            next=f"to restore it again: pgprovision restore --in-place {name}",
        )
    if server is not None and not server.in_recovery:
        raise Refused(
            f"{describe_writer(name, server)} accepts writes, and is never cloned over",
            done=done,
            next="if its writes do not count, stop PostgreSQL there first, then the same again",
        )
    if server is not None and server.replication:
        standbys = ", ".join(sorted(str(row["application_name"]) for row in server.replication))
        raise Refused(
            f"others stream from {name}: {standbys}",
            done=done,
            next="let them follow another server first",
        )
    if upstream is None or upstream.in_recovery:
        raise Refused(
            f"there is nothing to clone from: {primary} is not a running primary",
            done=done,
            next="pgprovision status shows who is primary",
        )
    if not existing.standby and existing.timeline >= upstream.timeline:
        raise Refused(
            f"the data on {name} are a primary's of timeline {existing.timeline}, and {primary}"
            f" is on timeline {upstream.timeline}: they may hold writes that nobody else has",
            done=done,
            next=f"if {name} is the primary, correct the roles in nodes/*.yml and start it; if its"
            f" writes do not count, rename its data directory by hand, then the same again",
        )


def tiers(
    inventory: Inventory, node: Node, existing: ExistingData, now: datetime
) -> tuple[Tier, ...]:
    """Everything the node should be, with the data directory it has now counted as absent."""
    intents = {node.name: intent.Reclone(existing.inode)}
    return tasks.tiers(
        inventory, (node,), now, topology=Topology.declared(inventory), intents=intents
    )
