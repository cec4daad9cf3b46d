"""Who gets which private address: subnets, reserved addresses, free ones. Pure, but for `taken`."""

from collections.abc import Iterable
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError

from pgprovision.lab.cloud.errors import ApiError, invalid_input
from pgprovision.lab.cloud.store import Doc

_PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_SMALLEST = 24  # prefix length of the smallest network and of an automatic subnet
_RESERVED = IPv4Address("172.31.1.1")  # the public side's gateway in every server


def parse_network(field: str, text: str) -> IPv4Network:
    """Raises invalid_input unless it is an RFC 1918 network without host bits."""
    try:
        network = IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError):
        raise invalid_input(field, f"'{text}' is not an IPv4 network in CIDR notation") from None
    if not any(network.subnet_of(private) for private in _PRIVATE):
        raise invalid_input(field, f"'{text}' is not in a private range (RFC 1918)")
    return network


def parse_range(text: str) -> IPv4Network:
    """A whole network's range."""
    network = parse_network("ip_range", text)
    if network.prefixlen > _SMALLEST:
        raise invalid_input("ip_range", f"the smallest network is a /{_SMALLEST}")
    return network


def parse_ip(field: str, text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise invalid_input(field, f"'{text}' is not an IPv4 address") from None


def gateway(ip_range: str) -> IPv4Address:
    """The first address of the whole network routes for everybody."""
    return IPv4Network(ip_range)[1]


def check_subnet(network: Doc, subnet: IPv4Network) -> None:
    """Raises invalid_input outside the network's range, networks_overlap on another subnet."""
    if not subnet.subnet_of(IPv4Network(network["ip_range"])):
        raise invalid_input(
            "ip_range", f"'{subnet}' is not within the network's {network['ip_range']}"
        )
    for other in network["subnets"]:
        if subnet.overlaps(IPv4Network(other["ip_range"])):
            raise ApiError("networks_overlap", f"'{subnet}' overlaps subnet {other['ip_range']}")


def next_subnet(network: Doc) -> IPv4Network:
    """The first free /24 of the network. Raises no_subnet_available."""
    used = [IPv4Network(subnet["ip_range"]) for subnet in network["subnets"]]
    for candidate in IPv4Network(network["ip_range"]).subnets(new_prefix=_SMALLEST):
        if not any(candidate.overlaps(other) for other in used):
            return candidate
    raise ApiError("no_subnet_available", "no free range is left in this network")


def choose_ip(
    network: Doc, taken: Iterable[str], requested: str | None = None, subnet: str | None = None
) -> tuple[str, str]:
    """(address, subnet) for a new seat: the wanted address, or the first free one.

    Raises no_subnet_available or ip_not_available.
    """
    ranges = [IPv4Network(s["ip_range"]) for s in network["subnets"]]
    if subnet is not None:
        ranges = [known for known in ranges if known == parse_network("ip_range", subnet)]
    if not ranges:
        raise ApiError("no_subnet_available", "the network has no subnet to take an address from")
    unavailable = {IPv4Address(ip) for ip in taken} | {gateway(network["ip_range"]), _RESERVED}
    if requested is not None:
        ip = parse_ip("ip", requested)
        for subnet_range in ranges:
            if (
                ip in subnet_range
                and ip not in unavailable
                and ip not in (subnet_range[0], subnet_range[-1])
            ):
                return str(ip), str(subnet_range)
        raise ApiError("ip_not_available", f"the address {requested} is not available")
    for subnet_range in ranges:
        for ip in subnet_range.hosts():
            if ip not in unavailable:
                return str(ip), str(subnet_range)
    raise ApiError("ip_not_available", "no free address is left in the subnets")
