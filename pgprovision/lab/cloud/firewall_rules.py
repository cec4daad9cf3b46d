"""Firewall rules: what the API takes, and what the machine gets. Pure."""

import re
from collections.abc import Iterable
from ipaddress import ip_network

from pgprovision.lab.cloud.body import RequestBody
from pgprovision.lab.cloud.errors import ApiError, invalid_input
from pgprovision.lab.cloud.store import Doc
from pgprovision.lab.hypervisor import LabFirewallRule

MAX_RULES = 50
MAX_CIDRS = 100
_PROTOCOLS = ("tcp", "udp", "icmp", "esp", "gre")


def parse_rules(body: RequestBody) -> list[Doc]:
    """The `rules` of a body in the API's full shape. Raises invalid_input."""
    rules = [_rule(part) for part in body.nested_list("rules")]
    if len(rules) > MAX_RULES:
        limits = {"limits": [{"name": "firewall_rule_limit"}]}
        raise ApiError("resource_limit_exceeded", "too many rules", limits)
    return rules


def _rule(body: RequestBody) -> Doc:
    direction = body.choice("direction", ("in", "out"))
    protocol = body.choice("protocol", _PROTOCOLS)
    sources, destinations = _cidrs(body, "source_ips"), _cidrs(body, "destination_ips")
    used, unused = ("source_ips", "destination_ips")[:: 1 if direction == "in" else -1]
    if not (sources if direction == "in" else destinations):
        raise invalid_input(f"rules.{used}", f"needed for direction {direction}")
    if destinations if direction == "in" else sources:
        raise invalid_input(f"rules.{unused}", f"must be empty for direction {direction}")
    return {
        "direction": direction,
        "protocol": protocol,
        "port": _port(body, protocol),
        "source_ips": sources,
        "destination_ips": destinations,
        "description": body.text("description") if "description" in body else None,
    }


def _port(body: RequestBody, protocol: str) -> str | None:
    if protocol not in ("tcp", "udp"):
        if "port" in body:
            raise invalid_input("rules.port", f"{protocol} has no ports")
        return None
    port = body.text("port")
    if not re.fullmatch(r"\d{1,5}(-\d{1,5})?", port):
        raise invalid_input("rules.port", f"'{port}' is neither a port nor a range of ports")
    numbers = [int(number) for number in port.split("-")]
    if numbers != sorted(numbers) or not 1 <= numbers[0] <= numbers[-1] <= 65535:
        raise invalid_input("rules.port", f"'{port}' is not within 1-65535")
    return port


def _cidrs(body: RequestBody, field: str) -> list[str]:
    texts = body.texts(field)
    if len(texts) > MAX_CIDRS:
        raise invalid_input(f"rules.{field}", f"at most {MAX_CIDRS} networks")
    try:
        return [str(ip_network(_with_prefix(text))) for text in texts]
    except ValueError as error:
        raise invalid_input(f"rules.{field}", str(error)) from None


def _with_prefix(text: str) -> str:
    if "/" not in text:
        raise ValueError(f"'{text}' is not in CIDR notation")
    return text


def compile_rules(rules: Iterable[Doc]) -> tuple[LabFirewallRule, ...]:
    """For the hypervisor, without repetitions."""
    compiled = [
        LabFirewallRule(
            direction=rule["direction"],
            protocol=rule["protocol"],
            port=rule["port"],
            ips=tuple(rule["source_ips"] + rule["destination_ips"]),
        )
        for rule in rules
    ]
    return tuple(dict.fromkeys(compiled))
