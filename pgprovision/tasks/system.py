"""The operating system under PostgreSQL, as the runbook has it: who may reach it, SSH, upgrades,
clock, journal, kernel, comforts.

Read it from top to bottom: each function is one step, in the order it is done.
"""

from collections.abc import Iterator
from ipaddress import ip_network

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.render import render
from pgprovision.resources.postgres.server.huge_pages import HugePages
from pgprovision.resources.postgres.server.kernel_parameters import (
    KernelParameters,
    TransparentHugePages,
)
from pgprovision.resources.postgres.server.postmaster import PostmasterCheck
from pgprovision.resources.system.apt_repository import PGDG, AptRepository, pgdg_key
from pgprovision.resources.system.clock import Clock
from pgprovision.resources.system.daemon_restart import ConfigurationApplied
from pgprovision.resources.system.file import Directory, File
from pgprovision.resources.system.file_permissions import NotWorldReadable
from pgprovision.resources.system.host_firewall import FirewallOpening, HostFirewall
from pgprovision.resources.system.noatime_mount import NoatimeMount
from pgprovision.resources.system.sshd import SshDaemon
from pgprovision.resources.system.unattended_upgrades import HeldPackages, PendingUpgrades
from pgprovision.resources.system.unit import Unit
from pgprovision.tasks import features
from pgprovision.tasks.context import PlanContext

UNIT_DIRECTORY = "/etc/systemd/system"


def upgrades(context: PlanContext) -> Iterator[Resource]:
    """Automatic security updates, never of PostgreSQL; set up before anything is installed."""
    if not context.inventory.host.unattended_upgrades:
        return
    on, folder = context.on, context.inventory.folder
    unattended = render("unattended-upgrades.conf.j2", folder)
    yield File(on=on, path="/etc/apt/apt.conf.d/52pgprovision", content=unattended)
    for path in ("/etc/needrestart", "/etc/needrestart/conf.d"):
        yield Directory(on=on, path=path)
    quiet = render("needrestart.conf.j2", folder)
    yield File(on=on, path="/etc/needrestart/conf.d/pgprovision.conf", content=quiet)


def repository(context: PlanContext) -> Iterator[Resource]:
    """PostgreSQL's own packages, or the distribution's."""
    apt = context.inventory.apt
    if apt.source == "pgdg":
        key = apt.mirror_key or pgdg_key()
        yield AptRepository(on=context.on, url=apt.mirror or PGDG, key=key)


def required_packages(inventory: Inventory) -> tuple[str, ...]:
    """The packages of the steps below."""
    host = inventory.host
    by_feature = {"nftables": host.firewall, "unattended-upgrades": host.unattended_upgrades}
    return tuple(name for name, needed in by_feature.items() if needed)


def firewall(context: PlanContext) -> Iterator[Resource]:
    """Firewall, closed before PostgreSQL runs; SSH as declared, 5432 for nodes and hba ranges."""
    if context.inventory.host.firewall:
        openings = tuple(_openings(context))
        text = render("nftables.conf.j2", context.inventory.folder, openings=openings)
        yield HostFirewall(on=context.on, text=text, ssh=openings[0])


def sshd(context: PlanContext) -> Iterator[Resource]:
    """SSH with keys only. Root may log in only where pgprovision does, and never by password."""
    if context.inventory.host.harden_sshd:
        root = "prohibit-password" if context.node.ssh.user == "root" else "no"
        text = render("sshd.conf.j2", context.inventory.folder, root_login=root)
        yield SshDaemon(on=context.on, text=text)


def services(context: PlanContext) -> Iterator[Resource]:
    """The firewall before the network at every boot; clock, journal, logind, banner."""
    on, host, folder = context.on, context.inventory.host, context.inventory.folder
    if host.firewall:
        unit = "pgprovision-firewall.service"
        yield File(on=on, path=f"{UNIT_DIRECTORY}/{unit}", content=render(f"{unit}.j2", folder))
        yield Unit(on=on, unit=unit)
    if host.synchronise_clock:
        yield Clock(on=on)
    limit = render("journald.conf.j2", folder, journal_limit=host.journal_limit)
    yield from _configured(on, "journald", limit)
    yield from _configured(on, "logind", render("logind.conf.j2", folder))
    if host.banner:
        text = render(
            "motd.j2",
            folder,
            cluster=context.inventory.cluster,
            node=on,
            psql=context.instance.psql(),
        )
        yield Directory(on=on, path="/etc/update-motd.d")
        yield File(on=on, path="/etc/update-motd.d/50-pgprovision", content=text, mode="0755")


def kernel(context: PlanContext) -> Iterator[Resource]:
    """Kernel parameters, once the configuration says how much memory PostgreSQL takes, and before
    it starts; noatime for its file system, where the server was created for it."""
    on, host = context.on, context.inventory.host
    huge = HugePages(on=on, instance=context.instance) if host.huge_pages else None
    if huge:
        yield huge
    if host.tune_kernel:
        yield KernelParameters(
            on=on, overrides=host.sysctl, memory=context.node.machine.memory, huge_pages=huge
        )
        text = render("tmpfiles.conf.j2", context.inventory.folder)
        yield File(on=on, path="/etc/tmpfiles.d/pgprovision.conf", content=text)
        yield TransparentHugePages(on=on)
    if host.noatime or (host.noatime is None and context.node.address is None):
        unit = "pgprovision-noatime.service"
        yield File(
            on=on,
            path=f"{UNIT_DIRECTORY}/{unit}",
            content=render(f"{unit}.j2", context.inventory.folder),
        )
        yield Unit(on=on, unit=unit, active=None)
        yield NoatimeMount(on=on)


def held_packages(context: PlanContext) -> Iterator[Resource]:
    """What apt must not upgrade by itself; pending upgrades are reported."""
    inventory = context.inventory
    if inventory.host.unattended_upgrades:
        names = (f"postgresql-{inventory.postgres.version}", *features.packages(inventory))
        yield HeldPackages(on=context.on, names=names)
        yield PendingUpgrades(on=context.on, names=names)


def file_permissions(context: PlanContext) -> Iterator[Resource]:
    """Configuration and logs, closed to others; a check of the running postmaster."""
    # pg_createcluster's own; the others have a mode of their own.
    files = ("start.conf", "environment", "pg_ctl.conf", "postgresql.conf.previous")
    yield NotWorldReadable(on=context.on, folder=context.instance.config_directory, files=files)
    yield NotWorldReadable(on=context.on, folder="/var/log/postgresql")
    header = "# Written by pgprovision: the package's own line opens it to all at every boot.\n"
    yield File(
        on=context.on,
        path="/etc/tmpfiles.d/pgprovision-log.conf",  # sorts before the package's file, so it wins
        content=f"{header}d /var/log/postgresql 1770 root postgres\n",
    )
    yield PostmasterCheck(on=context.on, instance=context.instance)


def _configured(on: str, daemon: str, content: str) -> Iterator[Resource]:
    """A drop-in file for a systemd daemon, and the daemon restarted after it."""
    folder = f"/etc/systemd/{daemon}.conf.d"
    path = f"{folder}/pgprovision.conf"
    yield Directory(on=on, path=folder)
    yield File(on=on, path=path, content=content)
    yield ConfigurationApplied(on=on, unit=f"systemd-{daemon}.service", path=path)


def _openings(context: PlanContext) -> Iterator[FirewallOpening]:
    """SSH first. On its usual port, too: behind a NAT the port that we dial is another."""
    inventory, node = context.inventory, context.node
    yield FirewallOpening("SSH", tuple(sorted({22, node.ssh.port})), inventory.host.ssh_source_ips)
    others = [ip_network(other.private_ip) for other in inventory.other_members(node)]
    declared = [address for rule in inventory.postgres.hba for address in rule.addresses]
    yield FirewallOpening("PostgreSQL", (inventory.postgres.port,), (*others, *declared))
    for feature in features.features(inventory):
        yield from feature.openings(context)
    for extra in inventory.host.open_ports:
        yield FirewallOpening(extra.purpose, (extra.port,), extra.source_ips, extra.protocol)
