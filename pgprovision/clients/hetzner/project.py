"""A Hetzner project as a target of the loop: lists to look at, calls to act."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

from pgprovision.clients.hetzner.api import Api, Lost, Refusal
from pgprovision.clients.hetzner.errors import CAPACITY, explained
from pgprovision.engine.model import Answer, Ask, Do, Ref, Sealed
from pgprovision.errors import CloudError, Refused
from pgprovision.hetzner_labels import Item, is_ours, named
from pgprovision.server_offers import alternatives

_NAME_IN_PATH = re.compile(r"\{(\w+):([^}]+)\}")
_CREATE = re.compile(r"POST /(\w+)")
_ALREADY = frozenset(
    {"server_already_attached", "firewall_already_applied", "server_already_added"}
)
_SETTLED = frozenset({"running", "off", "available", None})
SIDE_BY_SIDE = 3  # servers; more at once has cost people their account
RETRY_PAUSES = (1.0, 5.0, 0.0)  # seconds after each try of a write whose answer was lost


class Hetzner:
    """One project. Asks are list paths ("servers"); actions are calls with names for ids.

    What a call changes (the names in its path) must be the cluster's by its labels; what it only
    uses (Refs in its body) may be anybody's. A list is kept until the next act, as long as nothing
    in it is moving. `going_down` is told the name of a server before it is shut down or deleted:
    what is connected to it lets go.
    """

    def __init__(
        self,
        name: str,
        token: Sealed,
        endpoint: str,
        cluster: str,
        *,
        going_down: Callable[[str], None] = lambda server: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.acted = False
        self._api = Api(token, endpoint, sleep=sleep, clock=clock)
        self._cluster = cluster
        self._going_down = going_down
        self._sleep = sleep
        self._lists: dict[str, tuple[Item, ...]] = {}
        self._looking = threading.RLock()
        self._stopping = threading.Event()
        self._attaching = threading.Lock()  # the API refuses two changes to one network at once

    @property
    def api_calls(self) -> int:
        """Every request sent so far."""
        return self._api.calls

    def look(self, asks: Sequence[Ask]) -> Mapping[Ask, Answer]:
        """One list call per kind and page. Raises CloudError."""
        with self._looking:
            self._lists = {kind: items for kind, items in self._lists.items() if _still(items)}
            return {ask: Answer(items=self._list(ask.text)) for ask in asks}

    def act(self, actions: Sequence[Do], done: Callable[[Do], None]) -> None:
        """Call by call, each waited for; servers side by side. After a failure nothing more is
        begun. Raises CloudError, Refused."""
        ended: list[str] = []
        telling, stopped = threading.Lock(), threading.Event()
        self.acted = True

        def carry_out(lane: Sequence[Do]) -> None:
            for do in lane:
                if stopped.is_set() or self._stopping.is_set():
                    return
                with _setting(stopped):
                    self._perform(do)
                    with telling:
                        ended.append(do.why)
                        done(do)

        try:
            for lanes in stages(actions):
                pool = ThreadPoolExecutor(min(SIDE_BY_SIDE, len(lanes)))
                with pool, _setting(stopped):
                    for job in [pool.submit(carry_out, lane) for lane in lanes]:
                        job.result()
        except (CloudError, Refused) as error:
            error.where = error.where or self.name
            error.done = error.done or "; ".join(ended)
            raise
        finally:
            self._lists = {}

    def stop(self) -> None:
        """The calls that run are the last ones of this run."""
        self._stopping.set()

    def close(self) -> None:
        """Connections end with their threads."""

    def _list(self, path: str) -> tuple[Item, ...]:
        with self._looking:
            if path not in self._lists:
                try:
                    self._lists[path] = self._api.listed(path)
                except Refusal as error:
                    raise explained(error, Do(f"look at {path}", "")) from error
            return self._lists[path]

    def _perform(self, do: Do) -> None:
        if do.text.endswith("/actions/shutdown") or do.text.startswith("DELETE /servers/"):
            self._going_down(_server(do))
        with self._attaching if do.text.endswith("/attach_to_network") else nullcontext():
            try:
                answer = self._call(do)
                single, many = answer.get("action"), [*answer.get("actions", ())]
                begun = [*([single] if single else []), *many, *answer.get("next_actions", ())]
                self._api.finish(begun, do.timeout)
            except Refusal as error:
                raise explained(error, do, self._instead(error, do)) from error

    def _call(self, do: Do) -> dict[str, Any]:
        """The answer; where it was lost or comes too late, what a look says instead."""
        method, template = do.text.split(" ", 1)
        path = _NAME_IN_PATH.sub(lambda m: str(self._id(m[1], m[2], own=True)), template)
        body = self._resolved(do.body)
        create = _CREATE.fullmatch(do.text)
        for pause in RETRY_PAUSES:
            try:
                answer = self._api.write(method, path, body, do.timeout)
            except Lost as error:
                lost = error
                if create and self._adopt(create[1], body["name"]):
                    return {}
                self._sleep(pause)  # the other calls say "already so" when they were carried out
            except Refusal as error:
                taken = error.code == "uniqueness_error"
                if create and taken and self._adopt(create[1], body["name"]):
                    return {}
                if error.code in _ALREADY or (method, error.code) == ("DELETE", "not_found"):
                    return {}
                raise
            else:
                if create:
                    self._remember(create[1], answer[create[1].removesuffix("s")])
                return answer
        raise CloudError(
            f"{do.why}: no answer {len(RETRY_PAUSES)} times, the outcome is unknown ({lost})",
            next="run the same command again: it looks first",
        )

    def _remember(self, kind: str, item: Item) -> None:
        with self._looking:
            if kind in self._lists:
                self._lists[kind] += (item,)

    def _adopt(self, kind: str, name: str) -> bool:
        """Whether a create made it although nobody heard the answer. Raises Refused for a
        stranger. What the create began keeps its object locked, and the next call waits for it."""
        with self._looking:
            self._lists.pop(kind, None)
        for item in self._list(kind):
            if item["name"] == name:
                self._check_ours(item, kind)
                return True
        return False

    def _id(self, kind: str, name: str, *, own: bool = False) -> int:
        item = named(self._list(kind), name)
        if item is None:
            raise CloudError(f"there is no {name} among this project's {kind} any more")
        if own:
            self._check_ours(item, kind)
        return int(item["id"])

    def _check_ours(self, item: Item, kind: str) -> None:
        if not is_ours(item, self._cluster):
            raise Refused(f"{item['name']} among {kind} does not carry this cluster's labels")

    def _resolved(self, value: object) -> Any:
        """The body as it is sent: names become ids, sealed bytes are opened."""
        match value:
            case Ref(kind, name):
                return self._id(kind, name)
            case Mapping():
                return {key: self._resolved(part) for key, part in value.items()}
            case list() | tuple():
                return [self._resolved(part) for part in value]
        reveal = getattr(value, "reveal", None)
        return reveal().decode() if reveal else value

    def _instead(self, error: Refusal, do: Do) -> str:
        """What else can be had now, where a server found no place."""
        wanted = do.body or {}
        if error.code not in CAPACITY or "server_type" not in wanted:
            return ""
        types = self._list("server_types")
        return alternatives(types, str(wanted["server_type"]), str(wanted["location"]))


@contextmanager
def _setting(stopped: threading.Event) -> Iterator[None]:
    """Says so to all lanes when one ends early, or a person interrupts."""
    try:
        yield
    except BaseException:
        stopped.set()
        raise


def stages(actions: Sequence[Do]) -> list[list[list[Do]]]:
    """Actions in the order they depend on each other: the lanes of a stage may be carried out side
    by side. A lane is what happens to one server; anything else is a stage of its own."""
    made: list[dict[str, list[Do]]] = []
    for do in actions:
        server = _server(do)
        if not server or not made or "" in made[-1]:
            made.append({})
        made[-1].setdefault(server, []).append(do)
    return [list(lanes.values()) for lanes in made]


def _server(do: Do) -> str:
    """The server that an action is about; empty where it is about something else."""
    if do.text == "POST /servers":
        return str((do.body or {})["name"])
    found = _NAME_IN_PATH.search(do.text)
    return found[2] if found and found[1] == "servers" else ""


def _still(items: Sequence[Item]) -> bool:
    """Whether nothing in a list is on its way to something else."""
    return not any(item.get("locked") or item.get("status") not in _SETTLED for item in items)
