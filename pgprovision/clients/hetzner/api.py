"""Calls to Hetzner's API, and everything that may go wrong on the way.

The `hcloud` client sends, authenticates and retries what it knows how to. On top of it: busy
objects, broken connections, the rate limit, and one place that waits for actions; all within
budgets.
"""

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pgprovision import __version__
from pgprovision.engine.model import Sealed
from pgprovision.errors import CloudError, CloudSilent
from pgprovision.hetzner_labels import Item
from pgprovision.transport import fault_points

if TYPE_CHECKING:
    import hcloud
    import requests

READ_TIMEOUT = (5.0, 20.0)  # seconds to connect, to answer; the client repeats timeouts 5 times
WRITE_TIMEOUT = (10.0, 60.0)
READ_SECONDS = 20.0  # how long a read is repeated while the API is broken
RATE_SECONDS = 300.0  # how long to sit out a rate limit
PER_PAGE = 50  # the API's most
_BUSY = frozenset({"locked", "conflict", "server_not_stopped", "resource_in_use"})
_BROKEN = frozenset({"server_error", "bad_gateway", "unavailable", "timeout", "maintenance"})


class Refusal(Exception):
    """The API said no: its code and words."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.details = details or {}


class Lost(Exception):
    """A write got no answer: done or not, nobody knows."""


class _Throttled(Exception):
    """429. `reset` is when the limit is whole again, as UNIX time."""

    def __init__(self, reset: float) -> None:
        super().__init__(reset)
        self.reset = reset


class Api:
    """One project. `calls` counts every request that was sent."""

    def __init__(
        self,
        token: Sealed,
        endpoint: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.calls = 0
        self._counting = threading.Lock()
        self._token = token
        self._endpoint = endpoint.rstrip("/")
        self._sleep = sleep
        self._clock = clock
        self._mine = threading.local()  # the client's session is for one thread

    def get(self, path: str) -> dict[str, Any]:
        """A read, repeated while the API is broken. Raises Refusal, CloudError,
        CloudSilent."""
        budget = self._budget(READ_SECONDS)
        while True:
            try:
                return self._send("GET", path, None, READ_TIMEOUT)
            except Lost as error:
                if not budget.rest():
                    raise CloudSilent(
                        f"the API does not answer: {error}",
                        where=self._endpoint,
                        next="run the same command again when it does; "
                        "drift and status work meanwhile",
                    ) from error

    def listed(self, path: str) -> tuple[Item, ...]:
        """All pages of a list; the one thing where a path holds no list (`pricing`)."""
        kind, page, items = path.partition("?")[0], 1, list[Item]()
        glue = "&" if "?" in path else "?"
        while page:
            answer = self.get(f"/{path}{glue}page={page}&per_page={PER_PAGE}")
            if "meta" not in answer:
                return (answer[kind],)
            items += answer[kind]
            page = answer["meta"]["pagination"]["next_page"]
        return tuple(items)

    def write(self, method: str, path: str, body: object, limit: float) -> dict[str, Any]:
        """A change, repeated for `limit` seconds while its object is busy. Raises Refusal, Lost,
        CloudError."""
        budget = self._budget(limit)
        while True:
            change = fault_points.begin()
            try:
                answer = self._send(method, path, body, WRITE_TIMEOUT)
            except Refusal as error:
                if error.code not in _BUSY or not budget.rest():
                    raise
            else:
                fault_points.end(change)
                return answer

    def finish(self, actions: Iterable[Item], limit: float) -> None:
        """Wait for all of them, one call a round. Raises Refusal for one that failed, CloudError
        past `limit` seconds."""
        budget = self._budget(limit)
        under_way = list(actions)
        while True:
            for action in under_way:
                if error := action.get("error"):
                    what = f"{action['command']} (action {action['id']}) failed: {error['message']}"
                    raise Refusal(error["code"], what)
            under_way = [a for a in under_way if a["status"] == "running"]
            if not under_way:
                return
            if not budget.rest():
                slow = under_way[0]
                raise CloudError(
                    f"{slow['command']} (action {slow['id']}) is still running after {limit:.0f} s",
                    next="it goes on by itself; run the same command again",
                )
            wanted = "&".join(f"id={action['id']}" for action in under_way[:PER_PAGE])
            answer = self.get(f"/actions?{wanted}&per_page={PER_PAGE}")
            news = {action["id"]: action for action in answer["actions"]}
            under_way = [news.get(a["id"], a) for a in under_way]

    def _budget(self, seconds: float) -> "_Budget":
        return _Budget(seconds, self._clock, self._sleep)

    def _send(
        self, method: str, path: str, body: object, timeout: tuple[float, float]
    ) -> dict[str, Any]:
        """One call, and the rate limit sat out. Raises Refusal, Lost, CloudError."""
        import hcloud
        import requests

        budget = self._budget(RATE_SECONDS)
        while True:
            try:
                return self._client().request(
                    method, path, json=body, timeout=timeout, **self._options()
                )
            except _Throttled as error:
                if not budget.rest(error.reset - time.time()):
                    raise _too_many(error.reset) from error
            except hcloud.APIException as error:
                code = str(error.code)
                if code in _BROKEN or code.startswith("5"):
                    raise Lost(f"{error.message} ({code})") from error
                details = error.details if isinstance(error.details, dict) else None
                raise Refusal(code, error.message, details) from error
            except requests.exceptions.SSLError as error:
                raise CloudError(
                    f"the API's certificate is not valid: {error}",
                    where=self._endpoint,
                    done="nothing was sent",
                    next="find out who answers there; there is no way to skip this check",
                ) from error
            except requests.RequestException as error:
                self._count()
                raise Lost(_plain(error)) from error

    def _client(self) -> "hcloud.Client":
        import hcloud

        client: hcloud.Client | None = getattr(self._mine, "client", None)
        if client is None:
            client = self._mine.client = hcloud.Client(
                self._token.reveal().decode(),
                api_endpoint=self._endpoint,
                application_name="pgprovision",
                application_version=__version__,
                timeout=WRITE_TIMEOUT,
            )
        return client

    def _options(self) -> dict[str, Any]:
        """An endpoint without TLS is on this machine: no proxy stands between."""
        options: dict[str, Any] = {"hooks": {"response": self._heard}}
        if self._endpoint.startswith("http://"):
            options["proxies"] = {"http": "", "all": ""}
        return options

    def _count(self) -> None:
        with self._counting:
            self.calls += 1

    def _heard(self, response: "requests.Response", *_: object, **__: object) -> None:
        self._count()
        if response.status_code == 429:
            response.close()
            raise _Throttled(float(response.headers.get("RateLimit-Reset", 0)))


class _Budget:
    """Pauses between tries, and an end to them: short enough for a lab, then long enough for the
    hourly limit."""

    def __init__(
        self, seconds: float, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._until = clock() + seconds
        self._pause = 0.1

    def rest(self, useful: float = 0.0) -> bool:
        """Sleep until the next try; False where there is none. `useful` is how many seconds make
        sense to wait: the pause grows towards it, up to a minute."""
        pause = max(self._pause, min(useful, self._pause * 10))
        if self._clock() + pause > self._until:
            return False
        self._sleep(pause)
        self._pause = min(5.0, self._pause * 1.5)
        return True


def _plain(error: Exception) -> str:
    """What the library says last: "Connection refused", "Read timed out. (read timeout=30)"."""
    cause = error.args[0] if error.args else error
    said = str(getattr(cause, "reason", cause)).rpartition(": ")[2].rstrip("')\"")
    return re.sub(r"^\[Errno \d+\] ", "", said)


def _too_many(reset: float) -> CloudError:
    whole = datetime.fromtimestamp(reset, UTC).strftime("%H:%M:%S UTC")
    return CloudError(
        f"Hetzner's rate limit is used up; it is whole again at {whole}",
        next="run the same command again then; see who else uses this project's API",
    )
