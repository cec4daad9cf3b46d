"""The values of the loop: resources, what is observed and desired, and what closes the difference.

Imports nothing of pgprovision. `engine` runs them, `transport` and `clients` carry them out.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, ClassVar, Protocol, Self, final

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
    """Bytes that no report may show."""

    @property
    def redacted(self) -> str:
        """The text with the secrets left out."""
        ...

    def reveal(self) -> bytes:
        """The bytes, for the standard input of a program and nothing else."""
        ...


@dataclass(frozen=True)
class Probe:
    """How to look. Equal probes are run once per target and look."""

    text: str
    """A shell snippet for a host, a kind ("servers") for the cloud."""


@dataclass(frozen=True)
class Answer:
    """What a probe returned."""

    code: int = 0
    """The snippet's exit code."""
    out: bytes = b""
    """The snippet's standard output."""
    err: bytes = b""
    """The snippet's standard error."""
    items: tuple[Mapping[str, Any], ...] = ()
    """The objects of a cloud list."""

    @property
    def text(self) -> str:
        return self.out.decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Ref:
    """The id of one of this cluster's cloud objects, found by name when the call is made."""

    kind: str
    """The collection in the API: "servers", "networks"."""
    name: str
    """The object's name."""


@dataclass(frozen=True)
class Action:
    """One step that changes something."""

    why: str
    """What it does, for people: "create slot db_2"."""
    text: str
    """On a host shell; on the cloud method and path:
    `POST /servers/{servers:db-1}/actions/poweron`."""
    stdin: bytes | Sealed = b""
    """Standard input of the shell."""
    body: Mapping[str, object] | None = None
    """The JSON of a cloud call; a Ref in it becomes an id."""
    impact: Impact = Impact.NONE
    """What it costs those who are connected."""
    timeout: float = 120.0
    """Seconds until it counts as failed."""
    reconnects: bool = False
    """It changes how the host is reached, so the next look uses a new connection."""
    wait_command: str = ""
    """Shell that ends when the job this started has ended. For a person who runs the plan by hand;
    the loop looks instead."""
    psql_session: bool = False
    """`text` is a psql that reads `stdin`; neighbours with the same text may share one psql."""
    unmet_exit_code: int = 0
    """The exit code for "what was asked for does not exist", which is no failure; 0: none."""


@dataclass(frozen=True)
class Waiting:
    """Not there yet and on its way, such as a base backup."""

    reason: str
    """What it waits for, for people."""
    timeout: float = 120.0
    """Seconds from the first look that saw it until the run gives up."""
    end_probe: "Callable[[float], Probe] | None" = field(default=None, compare=False, repr=False)
    """Where the target knows the end: a probe that returns at the end, or after so many seconds,
    and fails at once where it cannot know."""


@dataclass(frozen=True)
class Need:
    """A probe; a resource must have its answer before its desired state is complete."""

    on: str
    """The target to look at; it may be another one than the resource's."""
    probe: Probe
    """How to look."""


class Facts(Protocol):
    """The answers of one look."""

    def get(self, on: str, probe: Probe) -> Answer | None:
        """The answer to `probe`; None where the target does not exist yet."""
        ...


@dataclass(frozen=True)
class Diff:
    """The difference of observed and desired state. Falsy where there is none."""

    before: State | None
    """The observed state; None: absent."""
    after: State | None
    """The desired state; None: declared absent. Only its keys are compared."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that differ."""
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
    """Something that can be declared on one target: a file, a role, a slot, a server.

    A frozen value. All methods are pure: they read nothing and write nothing, and the same fields
    and arguments give the same result, so a resource can be looked at, planned and explained
    anywhere. What a resource can do beyond these four methods is a capability: `WithNeeds`,
    `WithOrder`, `WithNotes`, `WithSecrets`, `WithDescription`.
    """

    kind: ClassVar[str]
    """What people call this class of things: "file", "replication slot"."""
    on: str
    """The name of the target it is on."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What distinguishes it from others of its kind on its target. Never changes in a run."""

    @abstractmethod
    def probe(self) -> Probe:
        """How to look. Must change nothing and must not depend on facts: it is sent before any
        fact is known."""

    @abstractmethod
    def read(self, answer: Answer) -> State | Waiting | None:
        """The observed state; None where it is absent, Waiting while it is on its way. Raises
        Refused where it would not be safe to go on. It may be called after any number of actions,
        so its message says nothing of what the run did."""

    @abstractmethod
    def desired(self) -> State | None:
        """The desired state, with every key that `read` may find different; None where it is
        declared absent."""

    @abstractmethod
    def change(self, diff: Diff) -> Iterable[Action]:
        """The actions that close `diff`, in order. Each must be safe to repeat after a run that
        was killed. None: nobody can act from here; the difference is reported and stays."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, kw_only=True)
class Check(Resource):
    """A resource that never acts: it reports a difference or a note, or refuses."""

    @final
    def change(self, diff: Diff) -> Iterable[Action]:
        return ()


class WithNeeds(ABC):
    """A resource with a desired state that depends on what only a host knows: its memory, an
    installed version, the primary's system identifier."""

    @abstractmethod
    def needs(self) -> tuple[Need, ...]:
        """The probes to run in the same look, before the resource's own. Pure and constant."""

    @abstractmethod
    def resolved(self, facts: Facts) -> Self:
        """This resource with the facts in its fields. Called once per look, before `read`.
        Must cope with facts that are missing: a target may not exist yet. Raises Refused where a
        fact makes it unsafe to go on."""


class WithOrder(ABC):
    """A resource that may have to wait for another target, such as a setting that the standbys
    need first."""

    @abstractmethod
    def blocked_by(self, diff: Diff) -> Waiting | None:
        """What has to come first; None: it can act now. Only asked where there are actions."""


class WithNotes(ABC):
    """A resource with notes: worth knowing, and no difference."""

    @abstractmethod
    def notes(self, state: State) -> tuple[str, ...]:
        """One sentence each, about an observed state. Not asked where the resource is absent."""


class WithSecrets(ABC):
    """A resource with secrets in its state."""

    @property
    @abstractmethod
    def secret_keys(self) -> frozenset[str]:
        """The keys of the values that no report and no record may show."""


class WithDescription(ABC):
    """A resource with keys that say little to people, such as `content` for a complete file."""

    @abstractmethod
    def describe_changes(self, diff: Diff) -> tuple[str, ...]:
        """The differing keys, for people: "archive_command" instead of "content"."""


def needs_of(resource: Resource) -> tuple[Need, ...]:
    """What has to be looked at for a resource in addition to its own probe."""
    return resource.needs() if isinstance(resource, WithNeeds) else ()


def resolve(resource: Resource, facts: Facts) -> Resource:
    """A resource with the facts it needs."""
    return resource.resolved(facts) if isinstance(resource, WithNeeds) else resource


@dataclass(frozen=True)
class Tier:
    """Resources that may assume all tiers before it."""

    title: str
    """What it is about, for people."""
    resources: tuple[Resource, ...]
    """Compared together; those on different targets are changed at the same time."""
    phase: str = ""
    """The part of a run its time is counted to, as `rebuild` reports it; empty: the rest."""


@dataclass(frozen=True)
class Change:
    """A resource that differs, and what will be done about it."""

    resource: Resource
    """The resource, with its facts."""
    diff: Diff
    """How it differs."""
    actions: tuple[Action, ...]
    """What closes the difference; empty: this run cannot."""
    blocked_by: Waiting | None = None
    """What has to come first on another target."""

    @property
    def impact(self) -> Impact:
        """The highest impact of its actions."""
        return max((a.impact for a in self.actions), default=Impact.NONE)

    @property
    def keys(self) -> tuple[str, ...]:
        """The differing keys, for people."""
        if isinstance(self.resource, WithDescription):
            return self.resource.describe_changes(self.diff)
        return self.diff.keys

    @property
    def redacted(self) -> Diff:
        """The difference as people may see it, secrets as ***."""
        if not isinstance(self.resource, WithSecrets):
            return self.diff
        secret = self.resource.secret_keys

        def redact(state: State | None) -> State | None:
            if state is None:
                return None
            return {k: "***" if k in secret and v else v for k, v in state.items()}

        return Diff(redact(self.diff.before), redact(self.diff.after))


@dataclass(frozen=True)
class UnconfirmedChange:
    """A change of which an action was sent and the end is not known to be reached."""

    change: Change
    """What was to be done."""
    done: tuple[Action, ...] = ()
    """Its actions that were done."""


@dataclass
class Report:
    """What a run did, and what its last look found."""

    changed: list[Change] = field(default_factory=list)
    """Changes of which every action was done, in that order."""
    unconfirmed: list[UnconfirmedChange] = field(default_factory=list)
    """Changes that were begun, and failed or lost the connection on the way."""
    remaining: list[Change] = field(default_factory=list)
    """What differs at the end; of a run that only looks, what it found."""
    waiting: list[tuple[Resource, Waiting]] = field(default_factory=list)
    """What is on its way at the end."""
    notes: list[tuple[Resource, str]] = field(default_factory=list)
    """What is worth knowing and no difference."""
    failed: dict[str, Exception] = field(default_factory=dict)
    """Targets that failed, and why; nothing more was done on them."""
    skipped: list[str] = field(default_factory=list)
    """What was not looked at, for people."""
    round_trips: dict[str, int] = field(default_factory=dict)
    """Trips per target."""
    api_calls: int = 0
    """Requests to the cloud."""
    seconds: float = 0.0
    """How long the loop ran."""
