"""What is for sale: locations, server types, images, prices. Nobody can change it.

Cores, memory and disks are Hetzner's. Prices are rough figures in EUR a month (autumn 2026), there
so that estimates have something to add up; they are no offer.
"""

from typing import Any

from pgprovision.lab.cloud.settings import SimulatorSettings
from pgprovision.lab.cloud.store import Doc

_EPOCH = "2024-01-01T00:00:00+00:00"
_TIB = 1024**4

LOCATIONS: list[Doc] = [
    {
        "id": ident,
        "name": name,
        "description": city,
        "country": country,
        "city": city,
        "latitude": latitude,
        "longitude": longitude,
        "network_zone": zone,
    }
    for ident, name, city, country, latitude, longitude, zone in (
        (1, "fsn1", "Falkenstein", "DE", 50.47612, 12.370071, "eu-central"),
        (2, "nbg1", "Nuremberg", "DE", 49.452102, 11.076665, "eu-central"),
        (3, "hel1", "Helsinki", "FI", 60.169855, 24.938379, "eu-central"),
        (4, "ash", "Ashburn, VA", "US", 39.045821, -77.487073, "us-east"),
        (5, "hil", "Hillsboro, OR", "US", 45.54222, -122.951924, "us-west"),
        (6, "sin", "Singapore", "SG", 1.283333, 103.833333, "ap-southeast"),
    )
]
ZONES = tuple(sorted({location["network_zone"] for location in LOCATIONS}))

# id, name, cores, memory GB, disk GB, EUR a month, traffic in TiB (Europe, United States)
_TYPES = (
    (114, "cx23", 2, 4, 40, 4, 20, 1),
    (115, "cx33", 4, 8, 80, 7, 20, 1),
    (109, "cpx22", 2, 4, 80, 8, 20, 1),
    (96, "ccx13", 2, 8, 80, 43, 20, 1),
    (97, "ccx23", 4, 16, 160, 86, 20, 2),
    (98, "ccx33", 8, 32, 240, 138, 30, 3),
    (99, "ccx43", 16, 64, 360, 276, 40, 4),
    (100, "ccx53", 32, 128, 600, 550, 50, 6),
    (101, "ccx63", 48, 192, 960, 1000, 60, 8),
)


def _price(amount: float) -> Doc:
    return {"net": f"{amount:.10f}", "gross": f"{amount * 1.19:.10f}"}


def _prices(monthly: float, traffic_eu: int, traffic_us: int) -> list[Doc]:
    return [
        {
            "location": location["name"],
            "price_hourly": _price(monthly / 624),
            "price_monthly": _price(monthly),
            "included_traffic": _TIB * (traffic_eu if location["id"] <= 3 else traffic_us),
            "price_per_tb_traffic": _price(1.0),
        }
        for location in LOCATIONS
    ]


def server_types(settings: SimulatorSettings) -> list[Doc]:
    return [
        {
            "id": ident,
            "name": name,
            "description": name.upper(),
            "category": "dedicated" if name.startswith("ccx") else "cost_optimized",
            "cores": cores,
            "memory": memory,
            "disk": disk,
            "deprecated": False,
            "deprecation": None,
            "prices": _prices(monthly, traffic_eu, traffic_us),
            "storage_type": "local",
            "cpu_type": "dedicated" if name.startswith("ccx") else "shared",
            "architecture": "x86",
            "locations": [
                {
                    "id": location["id"],
                    "name": location["name"],
                    "deprecation": None,
                    "available": (free := (name, location["name"]) not in settings.sold_out),
                    "recommended": free,
                }
                for location in LOCATIONS
            ],
        }
        for ident, name, cores, memory, disk, monthly, traffic_eu, traffic_us in _TYPES
    ]


IMAGES: list[Doc] = [
    {
        "id": ident,
        "type": "system",
        "status": "available",
        "name": f"{flavor}-{version}",
        "description": f"{flavor.title()} {version}",
        "image_size": None,
        "disk_size": 5,
        "created": _EPOCH,
        "created_from": None,
        "bound_to": None,
        "os_flavor": flavor,
        "os_version": version,
        "rapid_deploy": True,
        "protection": {"delete": False},
        "deprecated": None,
        "deprecation": None,
        "deleted": None,
        "labels": {},
        "architecture": "x86",
    }
    for ident, flavor, version in (
        (114690387, "debian", "12"),
        (310557660, "debian", "13"),
        (161547269, "ubuntu", "24.04"),
    )
]


def find_by_ref(docs: list[Doc], ref: str) -> Doc | None:
    """By id or name, as clients may name a server type, an image or a location."""
    return next((doc for doc in docs if ref in (str(doc["id"]), doc["name"])), None)


def pricing(settings: SimulatorSettings) -> Doc:
    types = server_types(settings)
    names = [location["name"] for location in LOCATIONS]
    monthly: list[dict[str, Any]] = [{"location": n, "price_monthly": _price(3)} for n in names]
    address = [
        {"location": n, "price_hourly": _price(0.0008), "price_monthly": _price(0.5)} for n in names
    ]
    return {
        "currency": "EUR",
        "vat_rate": "19.000000",
        "image": {"price_per_gb_month": _price(0.011)},
        "floating_ip": {"price_monthly": _price(3)},
        "floating_ips": [{"type": kind, "prices": monthly} for kind in ("ipv4", "ipv6")],
        "primary_ips": [{"type": kind, "prices": address} for kind in ("ipv4", "ipv6")],
        "server_types": [{key: t[key] for key in ("id", "name", "prices")} for t in types],
        "load_balancer_types": [],
        "volume": {"price_per_gb_month": _price(0.044)},
        "server_backup": {"percentage": "20.0000000000"},
    }
