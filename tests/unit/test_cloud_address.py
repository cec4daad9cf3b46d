"""Where a server answers SSH."""

from typing import Any

import pytest

from pgprovision.hetzner_labels import cluster_labels
from pgprovision.resources.hetzner.hetzner_resource import server_address

IPV4 = {"id": 1, "ip": "192.0.2.10"}
IPV6 = {"id": 2, "ip": "2001:db8:4:f::/64"}


@pytest.mark.parametrize(
    ("public", "address"),
    [
        ({"ipv4": IPV4, "ipv6": IPV6}, "192.0.2.10"),
        ({"ipv4": None, "ipv6": IPV6}, "2001:db8:4:f::1"),
        ({"ipv4": None, "ipv6": None}, None),
    ],
)
def test_address_of_a_server_is_ipv6_where_there_is_no_ipv4(
    public: dict[str, Any], address: str | None
) -> None:
    server = {"name": "db-1", "labels": cluster_labels("lab", "db-1"), "public_net": public}
    assert server_address([server], "lab", "db-1") == address
    assert server_address([server], "other", "db-1") is None
