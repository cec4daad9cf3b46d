"""A host before PostgreSQL runs on it: ready, identified, with packages and certificates."""

from collections.abc import Iterator

from pgprovision.engine.model import Resource
from pgprovision.inventory.topology import Topology
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
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.paths import (
    CLUSTER_CA,
    SERVER_CERTIFICATE,
    SERVER_KEY,
    TLS,
    drop_in_path,
)


def split_brain_check(context: PlanContext) -> Iterator[Resource]:
    """Refuses a cluster with two writable nodes, or with another primary than declared."""
    declared = Topology.declared(context.inventory)
    yield SplitBrainCheck(
        on=declared.primary.name,
        snapshot=context.snapshot,
        primary=declared.primary.name,
        replicas=tuple(standby.name for standby in declared.standbys),
        primary_required=context.needs_existing_primary,
    )


def first_boot(context: PlanContext) -> Iterator[Resource]:
    """The first boot is finished; disk space and the private address are there."""
    yield FirstBoot(on=context.on)
    yield DiskSpaceCheck(on=context.on)
    yield PrivateAddress(on=context.on, address=str(context.node.private_ip))


def identity(context: PlanContext, for_deletion: bool = False) -> Iterator[Resource]:
    """The host's identity, before anything is written to it. Its data are not checked where they
    are replaced, or where the host is to be deleted (`for_deletion`)."""
    on, cluster = context.on, context.inventory.cluster
    yield NodeIdentity(
        on=on,
        cluster=cluster,
        node=on,
        instance=context.instance,
        recreating=for_deletion or context.recreates_data,
    )


def claim_file(context: PlanContext) -> Iterator[Resource]:
    """The claim file; a replica needs the same release as its primary."""
    on = context.on
    yield ClaimFile(on=on, cluster=context.inventory.cluster, node=on, instance=context.instance)
    if context.is_standby:
        yield release_compatibility(context)


def release_compatibility(context: PlanContext) -> ReleaseCompatibility:
    """The check that this host's OS release and PostgreSQL fit its primary's."""
    return ReleaseCompatibility(
        on=context.on,
        instance=context.instance,
        primary=context.primary.name,
        snapshot=context.snapshot,
    )


def packages(context: PlanContext) -> Iterator[Resource]:
    """PostgreSQL without the package's automatic cluster, what features bring, openssl.

    All in one run of apt, ahead of the firewall: nothing listens before there is a cluster.
    """
    on = context.on
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
            f"postgresql-{context.inventory.postgres.version}",
            *features.packages(context.inventory),
            "openssl",
            *system.required_packages(context.inventory),
            *context.inventory.apt.extra_packages,
        ),
    )


def certificates(context: PlanContext) -> Iterator[Resource]:
    """The node's key, and its certificate from the cluster's CA."""
    on = context.on
    yield Directory(on=on, path=PGPROVISION_DIRECTORY)
    yield Directory(on=on, path=TLS)
    yield File(on=on, path=CLUSTER_CA, content=context.inventory.tls.ca_certificate)
    yield ServerKey(on=on, path=SERVER_KEY)


def signed_certificate(context: PlanContext) -> Iterator[Resource]:
    """The certificate for the key that the tier before created."""
    yield Certificate(
        on=context.on,
        path=SERVER_CERTIFICATE,
        key_path=SERVER_KEY,
        names=(context.on, str(context.node.private_ip)),
        ca_key=context.inventory.tls.ca_key,
        ca_certificate=context.inventory.tls.ca_certificate,
        now=context.now,
    )


def unit_drop_in(context: PlanContext) -> Iterator[Resource]:
    """Our settings for the instance's systemd unit."""
    path = drop_in_path(context.instance)
    yield Directory(on=context.on, path=path.rpartition("/")[0])
    yield File(
        on=context.on,
        path=path,
        content=render(
            "postgresql-override.conf.j2",
            context.inventory.folder,
            making=in_progress_file(context.instance),
        ),
    )


def marker(context: PlanContext) -> Iterator[Resource]:
    """The identity marker, written last: the node is finished."""
    on = context.on
    yield IdentityMarker(
        on=on, cluster=context.inventory.cluster, node=on, instance=context.instance
    )
