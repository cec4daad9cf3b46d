"""A streaming replica: seeded through its slot, verified, caught up."""

from collections.abc import Iterator

from pgprovision.inventory.model import Inventory, Node
from pgprovision.model import Resource
from pgprovision.quote import pgpass
from pgprovision.resources.file import Directory, File
from pgprovision.resources.release import Release
from pgprovision.resources.standby import Standby, primary_conninfo
from pgprovision.resources.streaming import Streaming
from pgprovision.secret import Secret
from pgprovision.tasks.places import CLUSTER_CA, REPLICATION_PASSFILE, instance, slot, snapshot


def config_directory(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """What pg_createcluster would lay out: Debian's wrappers find the cluster by it."""
    here = instance(inventory)
    postgres = {"owner": "postgres", "group": "postgres"}
    for path in (f"/etc/postgresql/{here.version}", here.config_directory):
        yield Directory(on=node.name, path=path, mode="0750", **postgres)
    contents = {
        "start.conf": "# Written by pgprovision.\nauto\n",
        "environment": "# Written by pgprovision.\n",
        "pg_ctl.conf": "# Written by pgprovision.\npg_ctl_options = ''\n",
    }
    for name, content in contents.items():
        yield File(
            on=node.name,
            path=f"{here.config_directory}/{name}",
            content=content,
            mode="0640",
            **postgres,
        )
    yield File(
        on=node.name,
        path=f"{here.config_directory}/pg_ident.conf",
        content="# Written by pgprovision.\n",
        mode="0640",
        **postgres,
    )


def passfile(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """E2: the replication password, for libpq alone (PostgreSQL manual, The Password File)."""
    replication, primary = inventory.postgres.replication, inventory.primary
    password = replication.password
    line = f"{primary.name}:{inventory.postgres.port}:*:{replication.role}:"
    yield File(
        on=node.name,
        path=REPLICATION_PASSFILE,
        content=Secret(
            f"{line}{pgpass(password.text())}\n", password.source, f"{line}{password.shown}\n"
        ),
        mode="0600",
        owner="postgres",
        group="postgres",
    )


def standby(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """E2, E3: the same release as the primary, its data through this node's slot."""
    here, primary = instance(inventory), inventory.primary
    yield Release(on=node.name, instance=here, primary=primary.name)
    yield Standby(
        on=node.name,
        instance=here,
        primary=primary.name,
        primary_conninfo=conninfo(inventory, node),
        slot=slot(node),
    )


def streaming(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """E4: it streams and has caught up."""
    yield Streaming(on=node.name, snapshot=snapshot(inventory), primary=inventory.primary.name)


def conninfo(inventory: Inventory, node: Node) -> str:
    """How this node reaches its primary: by name in the certificate, by private address."""
    return primary_conninfo(
        host=inventory.primary.name,
        address=str(inventory.primary.private_ip),
        port=inventory.postgres.port,
        user=inventory.postgres.replication.role,
        passfile=REPLICATION_PASSFILE,
        ca=CLUSTER_CA,
        node=node.name,
    )
