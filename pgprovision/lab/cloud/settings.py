"""A simulator's settings: who may call it, how fast it is, how much it sells."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ApiToken:
    """What a bearer token opens: one project, a world of its own, perhaps only to read."""

    project: str
    read_only: bool = False


@dataclass(frozen=True)
class SimulatorSettings:
    """`tokens` maps a bearer token to what it opens; `control_token` opens `/_lab`.

    `action_seconds` is what an action takes on top of the machine's real work. `rate_limit` is
    in requests per hour and project. `sold_out` holds (server type, location) pairs.
    """

    tokens: Mapping[str, ApiToken] = field(repr=False)
    control_token: str = field(repr=False)
    action_seconds: float = 0.2
    rate_limit: int = 3600
    server_limit: int = 50
    bootable: tuple[str, ...] = ("debian-12", "debian-13")
    sold_out: frozenset[tuple[str, str]] = frozenset()
