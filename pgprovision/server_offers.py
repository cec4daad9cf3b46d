"""What Hetzner sells now, read from its own lists: pure."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal

from pgprovision.engine.model import State
from pgprovision.errors import CloudError
from pgprovision.hetzner_labels import Item

AGAIN = (
    "change server_type, image, or the location within the network's zone, and run again: "
    "it goes on from what exists"
)


@dataclass(frozen=True)
class Wish:
    """A server that is to be made. `zone` is its network's."""

    node: str
    server_type: str
    location: str
    image: str
    zone: str


@dataclass(frozen=True)
class Offer:
    """A server as it can be had now. Memory and disk in GB; `price` a month without VAT, the
    public IPv4 address in it."""

    node: str
    server_type: str
    location: str
    image: str
    cores: int
    memory: float
    disk: int
    price: Decimal
    currency: str
    deprecated: bool = False

    def __str__(self) -> str:
        old = " (deprecated)" if self.deprecated else ""
        size = f"{self.cores} vCPU, {self.memory:g} GB, {self.disk} GB disk"
        what = f"{self.node}: {self.server_type}{old} in {self.location}, {size}, {self.image}"
        return f"{what}: {money(self.price, self.currency)}"

    def as_json(self) -> State:
        return {**asdict(self), "price": float(self.price)}


@dataclass(frozen=True)
class Quote:
    """All servers that are to be made: those that can be had, and why the others cannot (there
    `where` is the node)."""

    offers: tuple[Offer, ...] = ()
    refusals: tuple[CloudError, ...] = ()

    @property
    def total(self) -> str:
        """What they cost together; empty where there are none."""
        if not self.offers:
            return ""
        return money(sum(o.price for o in self.offers), self.offers[0].currency)

    def as_json(self) -> list[State]:
        lacking: list[State] = [
            {"node": error.where, "refused": error.what} for error in self.refusals
        ]
        return [*(offer.as_json() for offer in self.offers), *lacking]

    def check(self) -> None:
        """Raises CloudError where one of them cannot be had."""
        if len(self.refusals) == 1:
            raise self.refusals[0]
        if self.refusals:
            raise CloudError("\n".join(map(str, self.refusals)))


@dataclass(frozen=True)
class Shelf:
    """The lists of server types, images and locations, and the account's prices."""

    types: tuple[Item, ...]
    images: tuple[Item, ...]
    locations: tuple[Item, ...]
    pricing: Item

    def quote(self, wishes: Iterable[Wish]) -> Quote:
        """What each of them will be, and its price."""
        offers, refusals = list[Offer](), list[CloudError]()
        for wish in wishes:
            try:
                offers.append(self.offer(wish))
            except CloudError as refusal:
                refusals.append(refusal)
        return Quote(tuple(offers), tuple(refusals))

    def offer(self, wish: Wish) -> Offer:
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
        return Offer(
            node=wish.node,
            server_type=wish.server_type,
            location=wish.location,
            image=wish.image,
            cores=kind["cores"],
            memory=float(kind["memory"]),
            disk=kind["disk"],
            price=monthly(kind["prices"], wish.location) + self._address(wish.location),
            currency=self.pricing["currency"],
            deprecated=bool(stock.get("deprecation")),
        )

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

    def _address(self, location: str) -> Decimal:
        kinds = self.pricing["primary_ips"]
        return next((monthly(k["prices"], location) for k in kinds if k["type"] == "ipv4"), _FREE)


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
        and available(t, location)
    ]
    return (
        f"available now in {location}: {', '.join(here) or 'nothing like it'}; "
        f"{server_type} available now in: {', '.join(elsewhere) or 'no location'}"
    )


_FREE = Decimal()


def monthly(prices: Iterable[Item], location: str) -> Decimal:
    """A month's price there without VAT; nothing where none is named."""
    net = (price["price_monthly"]["net"] for price in prices if price["location"] == location)
    return Decimal(next(net, "0"))


def money(amount: Decimal | int, currency: str) -> str:
    """43.50 EUR a month."""
    return f"{amount:.2f} {currency} a month"


def available(kind: Item, location: str) -> bool:
    """Whether a server type can be had there now."""
    stock = _stock(kind, location)
    return stock is not None and bool(stock["available"])


def _stock(kind: Item, location: str) -> Item | None:
    return next((p for p in kind["locations"] if p["name"] == location), None)


def _cannot(wish: Wish, what: str, instead: str) -> CloudError:
    return CloudError(
        f"{what}; {instead}", where=wish.node, done="nothing; what exists is kept", next=AGAIN
    )
