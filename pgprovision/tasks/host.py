"""A machine before PostgreSQL runs on it: ready, ours, with packages, certificates and limits."""

from collections.abc import Iterator
from datetime import datetime

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.render import render
from pgprovision.resources.node.identity import PGPROVISION_DIRECTORY, NodeIdentity
from pgprovision.resources.node.marker import ClaimFile, IdentityMarker
from pgprovision.resources.node.release_compatibility import ReleaseCompatibility
from pgprovision.resources.postgres.server.certificate import Certificate, ServerKey
from pgprovision.resources.postgres.server.instance import in_progress_file
from pgprovision.resources.postgres.server.split_brain import SplitBrainCheck
from pgprovision.resources.system.disk_space import DiskSpaceCheck
from pgprovision.resources.system.file import Directory, File
from pgprovision.resources.system.first_boot import FirstBoot, PrivateAddress
from pgprovision.resources.system.packages import PackageSet
from pgprovision.tasks import features, system
from pgprovision.tasks.paths import (
    CLUSTER_CA,
    SERVER_CERTIFICATE,
    SERVER_KEY,
    TLS,
    drop_in_path,
    instance,
    snapshot,
)


def split_brain_check(
    inventory: Inventory, node: Node, primary_required: bool = False
) -> Iterator[Resource]:
    """Nothing is done to a cluster that has two histories; `node` is the declared primary."""
    yield SplitBrainCheck(
        on=node.name,
        snapshot=snapshot(inventory),
        primary=node.name,
        replicas=tuple(replica.name for replica in inventory.replicas),
        primary_required=primary_required,
    )


def first_boot(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """The machine has booted to the end, has its private address, and room."""
    yield FirstBoot(on=node.name)
    yield DiskSpaceCheck(on=node.name)
    yield PrivateAddress(on=node.name, address=str(node.private_ip))


def identity(inventory: Inventory, node: Node, for_deletion: bool = False) -> Iterator[Resource]:
    """Whose machine this is, before anything is written to it. `for_deletion`: it is to be deleted,
    so what became of its data does not matter."""
    on, cluster = node.name, inventory.cluster
    target_instance = instance(inventory)
    yield NodeIdentity(
        on=on, cluster=cluster, node=on, instance=target_instance, recreating=for_deletion
    )


def claim_file(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """It is being made into this node; a replica, from a machine like its primary's."""
    on = node.name
    yield ClaimFile(on=on, cluster=inventory.cluster, node=on, instance=instance(inventory))
    if node.role == "replica":
        yield release_compatibility(inventory, node)


def release_compatibility(inventory: Inventory, node: Node) -> ReleaseCompatibility:
    """Whether this machine can be a replica of that primary at all."""
    return ReleaseCompatibility(
        on=node.name,
        instance=instance(inventory),
        primary=inventory.primary.name,
        snapshot=snapshot(inventory),
    )


def packages(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """PostgreSQL without the package's automatic cluster, what features bring, openssl.

    All in one run of apt, ahead of the firewall: nothing listens before there is a cluster.
    """
    on = node.name
    yield Directory(on=on, path="/etc/postgresql-common")
    yield File(
        on=on,
        path="/etc/postgresql-common/createcluster.conf",
        content="# Written by pgprovision: clusters are made by name, never by a package.\n"
        "create_main_cluster = false\n",
    )
    yield PackageSet(
        on=on,
        title="PostgreSQL and its tools",
        names=(
            f"postgresql-{inventory.postgres.version}",
            *features.packages(inventory),
            "openssl",
            *system.required_packages(inventory),
            *inventory.apt.extra_packages,
        ),
    )


def certificates(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """The node's key, and its certificate from the cluster's CA."""
    on = node.name
    yield Directory(on=on, path=PGPROVISION_DIRECTORY)
    yield Directory(on=on, path=TLS)
    yield File(on=on, path=CLUSTER_CA, content=inventory.tls.ca_certificate)
    yield ServerKey(on=on, path=SERVER_KEY)


def signed_certificate(inventory: Inventory, node: Node, now: datetime) -> Iterator[Resource]:
    """The certificate, once the key is there to be certified."""
    yield Certificate(
        on=node.name,
        path=SERVER_CERTIFICATE,
        key_path=SERVER_KEY,
        names=(node.name, str(node.private_ip)),
        ca_key=inventory.tls.ca_key,
        ca_certificate=inventory.tls.ca_certificate,
        now=now,
    )


def unit_drop_in(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """What systemd gives the instance."""
    path = drop_in_path(inventory)
    yield Directory(on=node.name, path=path.rpartition("/")[0])
    yield File(
        on=node.name,
        path=path,
        content=render(
            "postgresql-override.conf.j2",
            inventory.folder,
            making=in_progress_file(instance(inventory)),
        ),
    )


def marker(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """Written last: this machine is finished, and which database it holds."""
    on = node.name
    yield IdentityMarker(on=on, cluster=inventory.cluster, node=on, instance=instance(inventory))
