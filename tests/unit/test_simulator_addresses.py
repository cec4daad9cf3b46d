"""Private addresses: which are reserved, which is next."""

from typing import Any

import pytest

from pgprovision.lab.cloud.addresses import choose_ip, next_subnet
from pgprovision.lab.cloud.errors import ApiError


def _network(ip_range: str, *subnets: str) -> dict[str, Any]:
    return {"ip_range": ip_range, "subnets": [{"ip_range": subnet} for subnet in subnets]}


def test_ip_when_subnet_holds_the_gateway_then_starts_at_two() -> None:
    network = _network("10.0.0.0/16", "10.0.0.0/24")
    assert choose_ip(network, []) == ("10.0.0.2", "10.0.0.0/24")


def test_ip_when_subnet_is_further_up_then_starts_at_one() -> None:
    network = _network("10.0.0.0/16", "10.0.1.0/24")
    assert choose_ip(network, []) == ("10.0.1.1", "10.0.1.0/24")
    assert choose_ip(network, ["10.0.1.1", "10.0.1.2"]) == ("10.0.1.3", "10.0.1.0/24")


def test_ip_when_first_subnet_is_full_then_from_the_next() -> None:
    network = _network("10.0.0.0/16", "10.0.1.0/30", "10.0.2.0/24")
    assert choose_ip(network, ["10.0.1.1", "10.0.1.2"]) == ("10.0.2.1", "10.0.2.0/24")


def test_ip_when_subnet_is_named_then_from_it() -> None:
    network = _network("10.0.0.0/16", "10.0.1.0/24", "10.0.2.0/24")
    assert choose_ip(network, [], subnet="10.0.2.0/24") == ("10.0.2.1", "10.0.2.0/24")
    with pytest.raises(ApiError) as caught:
        choose_ip(network, [], subnet="10.0.3.0/24")
    assert caught.value.code == "no_subnet_available"


def test_ip_when_it_is_the_servers_own_gateway_then_not_available() -> None:
    network = _network("172.31.0.0/16", "172.31.1.0/24")
    assert choose_ip(network, []) == ("172.31.1.2", "172.31.1.0/24")
    with pytest.raises(ApiError) as caught:
        choose_ip(network, [], "172.31.1.1")
    assert caught.value.code == "ip_not_available"


def test_ip_when_everything_is_taken_then_ip_not_available() -> None:
    network = _network("10.0.0.0/16", "10.0.1.0/30")
    with pytest.raises(ApiError) as caught:
        choose_ip(network, ["10.0.1.1", "10.0.1.2"])
    assert caught.value.code == "ip_not_available"


def test_subnet_when_none_is_named_then_first_free_24() -> None:
    network = _network("10.0.0.0/16", "10.0.0.0/24", "10.0.1.128/25")
    assert str(next_subnet(network)) == "10.0.2.0/24"


def test_subnet_when_network_is_full_then_no_subnet_available() -> None:
    with pytest.raises(ApiError) as caught:
        next_subnet(_network("10.0.0.0/24", "10.0.0.0/24"))
    assert caught.value.code == "no_subnet_available"
