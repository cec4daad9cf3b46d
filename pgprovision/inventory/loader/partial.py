"""What is left of an inventory once its wrong parts are put aside, so that the rest can be judged
in the same report."""

from typing import Any

from pydantic import ValidationError

from pgprovision.inventory.problems import KeyPath
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.inventory.schema.examples import field_at
from pgprovision.secret import Secret

_ROUNDS = 6  # a key, the mapping that needs it, the list or mapping around, and so on
# what stands in where something is required and wrong; for a secret, see _placeholder
_PLACEHOLDERS: dict[str, Any] = {
    "cluster": "unnamed",
    "ca_certificate": "-----BEGIN CERTIFICATE-----",
    "nodes": [
        {
            "name": "unnamed",
            "role": "primary",
            "private_ip": "10.0.1.2",
            "address": "192.0.2.2",
        }
    ],
}
# parts that refer to each other: where one is incomplete, the others are not checked
_RELATED = ({"nodes", "hetzner", "host"}, {"roles", "databases", "hba"}, {"backup", "nodes"})


def partial_inventory(
    value: dict[str, Any], failure: ValidationError, context: dict[str, Any]
) -> tuple[Inventory | None, set[str]]:
    """An inventory without what is invalid, if there is one, and the parts that cannot be checked
    any more. Changes the value."""
    incomplete: set[str] = set()
    for _ in range(_ROUNDS):
        for error in sorted(failure.errors(include_url=False), key=_last_first, reverse=True):
            loc = tuple(part for part in error["loc"] if part != "[key]")
            incomplete |= _remove_invalid(value, loc, str(error["type"]), error["loc"] != loc)
        try:
            return Inventory.model_validate(value, context=context), _with_related(incomplete)
        except ValidationError as again:
            failure = again
    return None, incomplete


def is_affected(loc: KeyPath, incomplete: set[str]) -> bool:
    """Whether a key path leads into one of these parts."""
    return bool(incomplete & ({"hba"} if loc[:2] == ("postgres", "hba") else {loc[0]}))


def _last_first(error: Any) -> list[tuple[bool, str]]:
    """Items of a list are taken away from its end."""
    return [(isinstance(part, int), f"{part:>9}") for part in error["loc"]]


def _with_related(incomplete: set[str]) -> set[str]:
    return incomplete.union(*(parts for parts in _RELATED if parts & incomplete))


def _remove_invalid(value: dict[str, Any], loc: KeyPath, kind: str, key: bool) -> set[str]:
    """Takes away what stands at a key path, or what lacks it. The parts that now lack something."""
    *path, last = loc
    container: Any = value
    for part in path:
        try:
            container = container[part]
        except (KeyError, IndexError, TypeError):
            return set()
    if kind == "missing":
        stand_in = _placeholder(loc)
        if isinstance(container, dict) and stand_in is not None:
            container[str(last)] = stand_in
            return {"nodes"} if last == "nodes" else set()
        return _remove_invalid(value, tuple(path), "lacking", False) if path else set()
    if isinstance(container, list) and isinstance(last, int):
        del container[last : last + 1]
    elif isinstance(container, dict):
        found = container.pop(last, None)
        if path == ["roles"] and not key and found is not None:
            container[last] = {"name": last}  # the name is right, and others may use it
            return set()
    listed = isinstance(container, list) or kind == "lacking" or path in (["roles"], ["databases"])
    part = "hba" if loc[:2] == ("postgres", "hba") else str(loc[0])
    return {part} if listed or len(loc) == 1 else set()


def _placeholder(loc: KeyPath) -> Any:
    """What stands in for a required key that is missing; None where nothing does."""
    if field_at(loc)[0] is Secret:
        return Secret("none", "a secret that is missing")
    return _PLACEHOLDERS.get(str(loc[-1]))
