"""Where a server answers SSH."""

from typing import Any

import pytest

from pgprovision.hetzner_labels import labels
from pgprovision.resources.hetzner.hetzner_resource import address_of

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
    server = {"name": "db-1", "labels": labels("lab", "db-1"), "public_net": public}
    assert address_of([server], "lab", "db-1") == address
    assert address_of([server], "other", "db-1") is None
