"""What Hetzner sells now, read from its own lists: pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from pgprovision.errors import CloudError
from pgprovision.owned import Item


@dataclass(frozen=True)
class Wish:
    """A server that is to be made. `zone` is its network's."""

    node: str
    server_type: str
    location: str
    image: str
    zone: str


@dataclass(frozen=True)
class Shelf:
    """The lists of server types, images and locations."""

    types: tuple[Item, ...]
    images: tuple[Item, ...]
    locations: tuple[Item, ...]

    def check(self, wish: Wish) -> str:
        """What it will be, and its price. Raises CloudError for what cannot be had now."""
        place = self._place(wish)
        kind = next((t for t in self.types if t["name"] == wish.server_type), None)
        if kind is None:
            raise _cannot(wish, f"there is no server type {wish.server_type}", self._instead(wish))
        stock = _stock(kind, wish.location)
        if stock is None or not stock["available"]:
            why = "is not sold" if stock is None else "is sold out"
            raise _cannot(wish, f"{wish.server_type} {why} in {place}", self._instead(wish))
        self._image(wish, kind["architecture"])
        size = f"{kind['cores']} vCPU, {kind['memory']:g} GB, {kind['disk']} GB disk"
        old = " (deprecated)" if stock.get("deprecation") else ""
        price = _price(kind, wish.location)
        return f"{wish.node}: {wish.server_type}{old} in {place}, {size}, {wish.image}{price}"

    def _place(self, wish: Wish) -> str:
        found = next((p for p in self.locations if p["name"] == wish.location), None)
        names = ", ".join(p["name"] for p in self.locations if p["network_zone"] == wish.zone)
        if found is None:
            raise _cannot(wish, f"there is no location {wish.location}", f"in {wish.zone}: {names}")
        if found["network_zone"] != wish.zone:
            raise _cannot(
                wish,
                f"{wish.location} is in zone {found['network_zone']}, its network in {wish.zone}",
                f"in {wish.zone}: {names}",
            )
        return wish.location

    def _image(self, wish: Wish, architecture: str) -> None:
        fit = [i for i in self.images if i["architecture"] == architecture]
        ready = {i["name"] for i in fit if i["status"] == "available" and i["name"]}
        if wish.image not in ready:
            names = ", ".join(sorted(ready))
            raise _cannot(wish, f"there is no image {wish.image} for {architecture}", names)

    def _instead(self, wish: Wish) -> str:
        return alternatives(self.types, wish.server_type, wish.location)


def alternatives(types: Iterable[Item], server_type: str, location: str) -> str:
    """Where else this type can be had now, and what else here."""
    shelf = tuple(types)
    wished = next((t for t in shelf if t["name"] == server_type), None)
    elsewhere = [p["name"] for p in wished["locations"] if p["available"]] if wished else []
    here = [
        t["name"]
        for t in shelf
        if t["name"] != server_type
        and (wished is None or t["cpu_type"] == wished["cpu_type"])
        and (wished is None or t["architecture"] == wished["architecture"])
        and (stock := _stock(t, location)) is not None
        and stock["available"]
    ]
    return (
        f"available now in {location}: {', '.join(here) or 'nothing like it'}; "
        f"{server_type} available now in: {', '.join(elsewhere) or 'no location'}"
    )


def _stock(kind: Item, location: str) -> Item | None:
    return next((p for p in kind["locations"] if p["name"] == location), None)


def _price(kind: Item, location: str) -> str:
    for price in kind["prices"]:
        if price["location"] == location:
            return f", {float(price['price_monthly']['net']):.2f} EUR a month without VAT"
    return ""


def _cannot(wish: Wish, what: str, instead: str) -> CloudError:
    return CloudError(
        f"{what}; {instead}",
        where=wish.node,
        done="nothing was made",
        next="change server_type, location or image in the inventory and run again",
    )
