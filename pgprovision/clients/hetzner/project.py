"""A Hetzner project as a target of the loop: lists to look at, calls to act."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

from pgprovision.clients.hetzner.api import HetznerApi, HetznerApiError, NoResponse
from pgprovision.clients.hetzner.errors import CAPACITY_CODES, as_cloud_error
from pgprovision.engine.model import Action, Answer, Probe, Ref, Sealed
from pgprovision.errors import CloudError, Refused
from pgprovision.hetzner_labels import ApiObject, find_object, has_cluster_labels
from pgprovision.server_offers import alternatives

_NAME_IN_PATH = re.compile(r"\{(\w+):([^}]+)\}")
_CREATE = re.compile(r"POST /(\w+)")
_ALREADY_DONE_CODES = frozenset(
    {"server_already_attached", "firewall_already_applied", "server_already_added"}
)
_STABLE_STATUSES = frozenset({"running", "off", "available", None})
MAX_PARALLEL_SERVERS = 3  # servers; more at once has cost people their account
RETRY_PAUSES = (1.0, 5.0, 0.0)  # seconds after each try of a write without an answer


class HetznerProject:
    """One project. Probes are list paths ("servers"); actions are calls with names for ids.

    What a call changes (the names in its path) must be the cluster's by its labels; what it only
    uses (Refs in its body) may be anybody's. A list is kept until the next act, as long as nothing
    in it is moving. `before_shutdown` is called with a server's name before it is shut down or
    deleted: open connections to it are closed."""

    def __init__(
        self,
        name: str,
        token: Sealed,
        endpoint: str,
        cluster: str,
        *,
        before_shutdown: Callable[[str], None] = lambda server: None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.acted = False
        self._api = HetznerApi(token, endpoint, sleep=sleep, clock=clock)
        self._cluster = cluster
        self._before_shutdown = before_shutdown
        self._sleep = sleep
        self._lists: dict[str, tuple[ApiObject, ...]] = {}
        self._list_lock = threading.RLock()
        self._stopping = threading.Event()
        self._attach_lock = threading.Lock()  # the API refuses two changes to one network at once

    @property
    def api_calls(self) -> int:
        """Every request sent so far."""
        return self._api.calls

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer]:
        """One list call per kind and page. Raises CloudError."""
        with self._list_lock:
            self._lists = {kind: items for kind, items in self._lists.items() if _is_stable(items)}
            return {probe: Answer(items=self._list(probe.text)) for probe in probes}

    def act(self, actions: Sequence[Action], on_done: Callable[[Action], None]) -> None:
        """Call by call, each waited for; servers side by side. After a failure nothing more is
        begun. Raises CloudError, Refused."""
        one_at_a_time, stopped = threading.Lock(), threading.Event()
        self.acted = True

        def carry_out(lane: Sequence[Action]) -> None:
            for action in lane:
                if stopped.is_set() or self._stopping.is_set():
                    return
                with _set_on_error(stopped):
                    self._perform(action)
                    with one_at_a_time:
                        on_done(action)

        try:
            for lanes in stages(actions):
                pool = ThreadPoolExecutor(min(MAX_PARALLEL_SERVERS, len(lanes)))
                with pool, _set_on_error(stopped):
                    for job in [pool.submit(carry_out, lane) for lane in lanes]:
                        job.result()
        except (CloudError, Refused) as error:
            error.where = error.where or self.name
            raise
        finally:
            self._lists = {}

    def stop(self) -> None:
        """The calls that run are the last ones of this run."""
        self._stopping.set()

    def close(self) -> None:
        """Connections end with their threads."""

    def _list(self, path: str) -> tuple[ApiObject, ...]:
        with self._list_lock:
            if path not in self._lists:
                try:
                    self._lists[path] = self._api.list_all(path)
                except HetznerApiError as error:
                    raise as_cloud_error(error, Action(f"look at {path}", "")) from error
            return self._lists[path]

    def _perform(self, action: Action) -> None:
        if action.text.endswith("/actions/shutdown") or action.text.startswith("DELETE /servers/"):
            self._before_shutdown(_server_of(action))
        with self._attach_lock if action.text.endswith("/attach_to_network") else nullcontext():
            try:
                answer = self._call(action)
                single, many = answer.get("action"), [*answer.get("actions", ())]
                started = [*([single] if single else []), *many, *answer.get("next_actions", ())]
                self._api.wait_for_actions(started, action.timeout)
            except HetznerApiError as error:
                raise as_cloud_error(error, action, self._alternatives(error, action)) from error

    def _call(self, action: Action) -> dict[str, Any]:
        """The answer; where it was lost or comes too late, what a look says instead."""
        method, template = action.text.split(" ", 1)
        path = _NAME_IN_PATH.sub(lambda m: str(self._id(m[1], m[2], must_be_ours=True)), template)
        body = self._request_body(action.body)
        create = _CREATE.fullmatch(action.text)
        for pause in RETRY_PAUSES:
            try:
                answer = self._api.write(method, path, body, action.timeout)
            except NoResponse as error:
                last_error = error
                if create and self._adopt(create[1], body["name"]):
                    return {}
                self._sleep(pause)  # the other calls say "already so" when they were carried out
            except HetznerApiError as error:
                name_taken = error.code == "uniqueness_error"
                if create and name_taken and self._adopt(create[1], body["name"]):
                    return {}
                if error.code in _ALREADY_DONE_CODES or (method, error.code) == (
                    "DELETE",
                    "not_found",
                ):
                    return {}
                raise
            else:
                if create:
                    self._add_to_list(create[1], answer[create[1].removesuffix("s")])
                return answer
        raise CloudError(
            f"{action.why}: no answer {len(RETRY_PAUSES)} times, the outcome is "
            f"unknown ({last_error})",
            next="run the same command again: it probes first",
        )

    def _add_to_list(self, kind: str, item: ApiObject) -> None:
        with self._list_lock:
            if kind in self._lists:
                self._lists[kind] += (item,)

    def _adopt(self, kind: str, name: str) -> bool:
        """Whether a create without an answer made it. Raises Refused for a foreign object.
        What the create began keeps its object locked, and the next call waits for it."""
        with self._list_lock:
            self._lists.pop(kind, None)
        for item in self._list(kind):
            if item["name"] == name:
                self._check_ours(item, kind)
                return True
        return False

    def _id(self, kind: str, name: str, *, must_be_ours: bool = False) -> int:
        item = find_object(self._list(kind), name)
        if item is None:
            raise CloudError(f"{name} no longer exists among this project's {kind}")
        if must_be_ours:
            self._check_ours(item, kind)
        return int(item["id"])

    def _check_ours(self, item: ApiObject, kind: str) -> None:
        if not has_cluster_labels(item, self._cluster):
            raise Refused(f"{item['name']} among {kind} does not carry this cluster's labels")

    def _request_body(self, value: object) -> Any:
        """The body as it is sent: names become ids, sealed bytes are opened."""
        match value:
            case Ref(kind, name):
                return self._id(kind, name)
            case Mapping():
                return {key: self._request_body(part) for key, part in value.items()}
            case list() | tuple():
                return [self._request_body(part) for part in value]
        reveal = getattr(value, "reveal", None)
        return reveal().decode() if reveal else value

    def _alternatives(self, error: HetznerApiError, action: Action) -> str:
        """What else can be had now, where a server found no place."""
        body = action.body or {}
        if error.code not in CAPACITY_CODES or "server_type" not in body:
            return ""
        types = self._list("server_types")
        return alternatives(types, str(body["server_type"]), str(body["location"]))


@contextmanager
def _set_on_error(stopped: threading.Event) -> Iterator[None]:
    """Says so to all lanes when one ends early, or a person interrupts."""
    try:
        yield
    except BaseException:
        stopped.set()
        raise


def stages(actions: Sequence[Action]) -> list[list[list[Action]]]:
    """Actions in the order they depend on each other: the lanes of a stage may be carried out side
    by side. A lane is what happens to one server; anything else is a stage of its own."""
    grouped: list[dict[str, list[Action]]] = []
    for action in actions:
        server = _server_of(action)
        if not server or not grouped or "" in grouped[-1]:
            grouped.append({})
        grouped[-1].setdefault(server, []).append(action)
    return [list(lanes.values()) for lanes in grouped]


def _server_of(action: Action) -> str:
    """The server that an action is about; empty where it is about something else."""
    if action.text == "POST /servers":
        return str((action.body or {})["name"])
    found = _NAME_IN_PATH.search(action.text)
    return found[2] if found and found[1] == "servers" else ""


def _is_stable(items: Sequence[ApiObject]) -> bool:
    """Whether nothing in a list is on its way to something else."""
    return not any(
        item.get("locked") or item.get("status") not in _STABLE_STATUSES for item in items
    )
