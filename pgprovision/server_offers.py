"""What Hetzner sells now, read from its own lists: pure."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from decimal import Decimal

from pgprovision.engine.model import State
from pgprovision.errors import CloudError
from pgprovision.hetzner_labels import ApiObject

NEXT_IF_UNAVAILABLE = (
    "change server_type, image, or the location within the network's zone, and run again: "
    "it continues from what exists"
)


@dataclass(frozen=True)
class ServerRequest:
    """A server that is to be made. `zone` is its network's."""

    node: str
    server_type: str
    location: str
    image: str
    zone: str


@dataclass(frozen=True)
class ServerOffer:
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
        return f"{what}: {format_monthly_price(self.price, self.currency)}"

    def as_json(self) -> State:
        return {**asdict(self), "price": float(self.price)}


@dataclass(frozen=True)
class Quote:
    """All servers that are to be made: those that can be had, and why the others cannot (there
    `where` is the node)."""

    offers: tuple[ServerOffer, ...] = ()
    unavailable: tuple[CloudError, ...] = ()

    @property
    def total(self) -> str:
        """What they cost together; empty where there are none."""
        if not self.offers:
            return ""
        return format_monthly_price(sum(o.price for o in self.offers), self.offers[0].currency)

    def as_json(self) -> list[State]:
        refused: list[State] = [
            {"node": error.where, "unavailable": error.what} for error in self.unavailable
        ]
        return [*(offer.as_json() for offer in self.offers), *refused]

    def raise_if_unavailable(self) -> None:
        """Raises CloudError where one of them cannot be had."""
        if len(self.unavailable) == 1:
            raise self.unavailable[0]
        if self.unavailable:
            raise CloudError("\n".join(map(str, self.unavailable)))


@dataclass(frozen=True)
class ServerCatalog:
    """The lists of server types, images and locations, and the account's prices."""

    types: tuple[ApiObject, ...]
    images: tuple[ApiObject, ...]
    locations: tuple[ApiObject, ...]
    pricing: ApiObject

    def quote(self, server_requests: Iterable[ServerRequest]) -> Quote:
        """What each of them will be, and its price."""
        offers, unavailable = list[ServerOffer](), list[CloudError]()
        for request in server_requests:
            try:
                offers.append(self.offer(request))
            except CloudError as refusal:
                unavailable.append(refusal)
        return Quote(tuple(offers), tuple(unavailable))

    def offer(self, request: ServerRequest) -> ServerOffer:
        """What it will be, and its price. Raises CloudError for what cannot be had now."""
        place = self._check_location(request)
        kind = next((t for t in self.types if t["name"] == request.server_type), None)
        if kind is None:
            raise _unavailable_error(
                request,
                f"there is no server type {request.server_type}",
                self._alternatives(request),
            )
        entry = _location_entry(kind, request.location)
        if entry is None or not entry["available"]:
            why = "is not sold" if entry is None else "is sold out"
            raise _unavailable_error(
                request, f"{request.server_type} {why} in {place}", self._alternatives(request)
            )
        self._check_image(request, kind["architecture"])
        return ServerOffer(
            node=request.node,
            server_type=request.server_type,
            location=request.location,
            image=request.image,
            cores=kind["cores"],
            memory=float(kind["memory"]),
            disk=kind["disk"],
            price=monthly_price(kind["prices"], request.location)
            + self._ipv4_price(request.location),
            currency=self.pricing["currency"],
            deprecated=bool(entry.get("deprecation")),
        )

    def _check_location(self, request: ServerRequest) -> str:
        found = next((p for p in self.locations if p["name"] == request.location), None)
        names = ", ".join(p["name"] for p in self.locations if p["network_zone"] == request.zone)
        if found is None:
            raise _unavailable_error(
                request, f"there is no location {request.location}", f"in {request.zone}: {names}"
            )
        if found["network_zone"] != request.zone:
            raise _unavailable_error(
                request,
                f"{request.location} is in zone {found['network_zone']},"
                f" its network in {request.zone}",
                f"in {request.zone}: {names}",
            )
        return request.location

    def _check_image(self, request: ServerRequest, architecture: str) -> None:
        matching = [i for i in self.images if i["architecture"] == architecture]
        image_names = {i["name"] for i in matching if i["status"] == "available" and i["name"]}
        if request.image not in image_names:
            names = ", ".join(sorted(image_names))
            raise _unavailable_error(
                request, f"there is no image {request.image} for {architecture}", names
            )

    def _alternatives(self, request: ServerRequest) -> str:
        return alternatives(self.types, request.server_type, request.location)

    def _ipv4_price(self, location: str) -> Decimal:
        kinds = self.pricing["primary_ips"]
        return next(
            (monthly_price(k["prices"], location) for k in kinds if k["type"] == "ipv4"), _FREE
        )


def alternatives(types: Iterable[ApiObject], server_type: str, location: str) -> str:
    """Where else this type can be had now, and what else here."""
    known_types = tuple(types)
    requested = next((t for t in known_types if t["name"] == server_type), None)
    elsewhere = [p["name"] for p in requested["locations"] if p["available"]] if requested else []
    in_location = [
        t["name"]
        for t in known_types
        if t["name"] != server_type
        and (requested is None or t["cpu_type"] == requested["cpu_type"])
        and (requested is None or t["architecture"] == requested["architecture"])
        and is_available(t, location)
    ]
    return (
        f"available now in {location}: {', '.join(in_location) or 'no similar server type'}; "
        f"{server_type} available now in: {', '.join(elsewhere) or 'no location'}"
    )


_FREE = Decimal()


def monthly_price(prices: Iterable[ApiObject], location: str) -> Decimal:
    """A month's price there without VAT; nothing where none is named."""
    net = (price["price_monthly"]["net"] for price in prices if price["location"] == location)
    return Decimal(next(net, "0"))


def format_monthly_price(amount: Decimal | int, currency: str) -> str:
    """43.50 EUR a month."""
    return f"{amount:.2f} {currency} a month"


def is_available(kind: ApiObject, location: str) -> bool:
    """Whether a server type can be had there now."""
    entry = _location_entry(kind, location)
    return entry is not None and bool(entry["available"])


def _location_entry(kind: ApiObject, location: str) -> ApiObject | None:
    return next((p for p in kind["locations"] if p["name"] == location), None)


def _unavailable_error(request: ServerRequest, what: str, hint: str) -> CloudError:
    return CloudError(
        f"{what}; {hint}",
        where=request.node,
        next=NEXT_IF_UNAVAILABLE,
    )
