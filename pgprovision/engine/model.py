"""The nouns of the one loop: what is wished for, what is there, and what closes the difference.

Pure values; imports nothing of ours. `engine` runs them, `transport` and `clients` carry them out.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar, Protocol, Self

Scalar = str | int | float | bool | None
Value = Scalar | tuple[Scalar, ...]
State = Mapping[str, Value]


class Impact(IntEnum):
    """What an action does to those who are connected."""

    NONE = 0
    RELOAD = 1
    RESTART = 2
    DESTROY = 3


class Sealed(Protocol):
    """Bytes that no report may show. `redacted` is the same with the secrets in it left out."""

    @property
    def redacted(self) -> str: ...
    def reveal(self) -> bytes: ...


@dataclass(frozen=True)
class Probe:
    """How to look: a shell snippet for a host, a kind ("servers") for the cloud."""

    text: str


@dataclass(frozen=True)
class Answer:
    """What came back: exit code and streams of a snippet, or a cloud list's items."""

    code: int = 0
    out: bytes = b""
    err: bytes = b""
    items: tuple[Mapping[str, Any], ...] = ()

    @property
    def text(self) -> str:
        return self.out.decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Ref:
    """The id of a cloud object of ours, looked up by name when the call is made."""

    kind: str
    name: str


@dataclass(frozen=True)
class Action:
    """One action. On a host `text` is shell and `stdin` its input; on the cloud `text` is method
    and path (`POST /servers/{servers:db-1}/actions/poweron`) and `body` what is sent. `timeout` in
    seconds. `reconnects`: it touches the way in, so the next look goes over a connection made anew.
    `wait_command`: shell text that ends when the work this began has ended; the loop looks instead,
    a person who acts by hand waits with it. `psql_session`: `text` is a psql that reads `stdin`;
    neighbours with the same text may be said to one psql, one after the other. `unmet_exit_code`:
    the exit code with which it says that what was asked for cannot be had, which is nobody's
    failure."""

    why: str
    text: str
    stdin: bytes | Sealed = b""
    body: Mapping[str, object] | None = None
    impact: Impact = Impact.NONE
    timeout: float = 120.0
    reconnects: bool = False
    wait_command: str = ""
    psql_session: bool = False
    unmet_exit_code: int = 0


@dataclass(frozen=True)
class Waiting:
    """Not there yet and on its way. `timeout` is in seconds from the first time it was seen.
    `end_probe`, where its machine can tell when it has ended: an ask that is answered then, or
    after so many seconds, and fails at once where it cannot."""

    reason: str
    timeout: float = 120.0
    end_probe: "Callable[[float], Probe] | None" = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Need:
    """A look at another resource's world (`on` names the target) that fills in a wish."""

    on: str
    probe: Probe


class Facts(Protocol):
    """What has been seen in this look. None: the target is not there yet."""

    def get(self, on: str, probe: Probe) -> Answer | None: ...


@dataclass(frozen=True)
class Diff:
    """Before and after. Only keys of `after` count; None is absence."""

    before: State | None
    after: State | None

    @property
    def keys(self) -> tuple[str, ...]:
        if self.after is None:
            return () if self.before is None else tuple(self.before)
        before = self.before or {}
        return tuple(k for k, v in self.after.items() if self.before is None or before.get(k) != v)

    def __bool__(self) -> bool:
        return (self.before is None) != (self.after is None) or bool(self.keys)

    def changed(self, *names: str) -> bool:
        """Whether one of these keys differs."""
        return any(name in self.keys for name in names)


@dataclass(frozen=True, kw_only=True)
class Resource(ABC):
    """Something that can be wished for on one target. A frozen value; all methods are pure."""

    kind: ClassVar[str]
    on: str

    @property
    @abstractmethod
    def name(self) -> str:
        """What tells it from others of its kind on its target."""

    @abstractmethod
    def probe(self) -> Probe:
        """How to look. Equal asks are asked once per target and look."""

    @abstractmethod
    def read(self, answer: Answer) -> State | Waiting | None:
        """What is there. Raises Refused where going on would not be safe."""

    @abstractmethod
    def desired(self) -> State | None:
        """What should be there; None where it is declared absent."""

    @abstractmethod
    def change(self, diff: Diff) -> Iterable[Action]:
        """The very actions that close the difference."""

    def needs(self) -> tuple[Need, ...]:
        """What else has to be seen before the wish is complete."""
        return ()

    def resolved(self, facts: Facts) -> Self:
        """The same wish with what only the machines know filled in."""
        return self

    def blocked_by(self, diff: Diff) -> Waiting | None:
        """What has to come first, on another target; None: it is this one's turn."""
        return None

    def notes(self, state: State) -> tuple[str, ...]:
        """What people should know of what is there, though nothing is to be done about it."""
        return ()

    @property
    def secret_keys(self) -> frozenset[str]:
        """Keys whose values no report and no record may show."""
        return frozenset()

    def describe_changes(self, diff: Diff) -> tuple[str, ...]:
        """The differing keys as people know them."""
        return diff.keys

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Tier:
    """Resources that may assume the tiers before it."""

    title: str
    resources: tuple[Resource, ...]
    phase: str = ""
    """The part of a run its time is counted to, as `rebuild` reports it; empty: the rest."""


@dataclass(frozen=True)
class Change:
    """A resource that differs, what will be done about it, and what that has to wait for."""

    resource: Resource
    diff: Diff
    actions: tuple[Action, ...]
    blocked_by: Waiting | None = None

    @property
    def impact(self) -> Impact:
        return max((a.impact for a in self.actions), default=Impact.NONE)

    @property
    def keys(self) -> tuple[str, ...]:
        return self.resource.describe_changes(self.diff)

    @property
    def redacted(self) -> Diff:
        """The difference as people may see it: secrets masked."""
        secret = self.resource.secret_keys

        def mask(state: State | None) -> State | None:
            if state is None or not secret:
                return state
            return {k: "***" if k in secret and v else v for k, v in state.items()}

        return Diff(mask(self.diff.before), mask(self.diff.after))


@dataclass
class Report:
    """What a run did and what it saw at its last look."""

    changed: list[Change] = field(default_factory=list)
    remaining: list[Change] = field(default_factory=list)
    waiting: list[tuple[Resource, Waiting]] = field(default_factory=list)
    notes: list[tuple[Resource, str]] = field(default_factory=list)
    failed: dict[str, Exception] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    round_trips: dict[str, int] = field(default_factory=dict)
    api_calls: int = 0
    seconds: float = 0.0
