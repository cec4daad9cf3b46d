"""Problems of the inventory that only a host shows, before the first write to it."""

from collections.abc import Iterator

from pgprovision.engine.model import Resource
from pgprovision.resources.node.preflight import Preflight
from pgprovision.tasks.configuration import plain_conf
from pgprovision.tasks.context import PlanContext


def preflight(context: PlanContext) -> Iterator[Resource]:
    """The host can be what the inventory declares. Raises InventoryError with all problems."""
    inventory = context.inventory
    network, databases = inventory.hetzner and inventory.hetzner.network, inventory.databases
    locales = {inventory.postgres.locale, *(database.locale for database in databases.values())}
    all_locales = "locales-all" in inventory.apt.extra_packages
    yield Preflight(
        on=context.on,
        instance=context.instance,
        private_ip=str(context.node.private_ip),
        conf=plain_conf(context),
        network_ranges=(str(network.ip_range),) if network and context.node.address is None else (),
        other_nodes=tuple(str(n.private_ip) for n in inventory.nodes if n.name != context.on),
        locales=() if all_locales else tuple(sorted(locales)),
    )
