"""Bad input that only a machine can tell, before the first write to it."""

from collections.abc import Iterator

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.resources.node.preflight import Preflight
from pgprovision.tasks.configuration import plain_conf
from pgprovision.tasks.paths import instance


def preflight(inventory: Inventory, node: Node) -> Iterator[Resource]:
    """What the inventory asks of the machine fits it; all that does not, at once."""
    network, databases = (
        inventory.hetzner and inventory.hetzner.network,
        inventory.databases.values(),
    )
    locales = {inventory.postgres.locale, *(database.locale for database in databases)}
    all_locales = "locales-all" in inventory.apt.extra_packages
    yield Preflight(
        on=node.name,
        instance=instance(inventory),
        private_ip=str(node.private_ip),
        conf=plain_conf(inventory, node),
        network_ranges=(str(network.ip_range),) if network and node.address is None else (),
        other_nodes=tuple(str(n.private_ip) for n in inventory.nodes if n.name != node.name),
        locales=() if all_locales else tuple(sorted(locales)),
    )
