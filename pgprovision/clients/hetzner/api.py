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
from pgprovision.errors import CloudError, CloudUnreachable
from pgprovision.hetzner_labels import ApiObject
from pgprovision.transport import fault_points

if TYPE_CHECKING:
    import hcloud
    import requests

READ_TIMEOUT = (5.0, 20.0)  # seconds to connect, to answer; the client repeats timeouts 5 times
WRITE_TIMEOUT = (10.0, 60.0)
READ_RETRY_SECONDS = 20.0  # how long a read is repeated while the API is broken
RATE_LIMIT_SECONDS = 300.0  # how long to sit out a rate limit
PER_PAGE = 50  # the API's most
_BUSY = frozenset({"locked", "conflict", "server_not_stopped", "resource_in_use"})
_BROKEN = frozenset({"server_error", "bad_gateway", "unavailable", "timeout", "maintenance"})


class HetznerApiError(Exception):
    """The API refused: its code and message."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.details = details or {}


class NoResponse(Exception):
    """A write got no answer: done or not, nobody knows."""


class _RateLimited(Exception):
    """429. `reset` is when the limit is whole again, as UNIX time."""

    def __init__(self, reset: float) -> None:
        super().__init__(reset)
        self.reset = reset


class HetznerApi:
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
        self._calls_lock = threading.Lock()
        self._token = token
        self._endpoint = endpoint.rstrip("/")
        self._sleep = sleep
        self._clock = clock
        self._thread_local = threading.local()  # the client's session is for one thread

    def get(self, path: str) -> dict[str, Any]:
        """A read, repeated while the API is broken. Raises Refusal, CloudError,
        CloudUnreachable."""
        budget = self._budget(READ_RETRY_SECONDS)
        while True:
            try:
                return self._send("GET", path, None, READ_TIMEOUT)
            except NoResponse as error:
                if not budget.sleep():
                    raise CloudUnreachable(
                        f"the API does not answer: {error}",
                        where=self._endpoint,
                        next="run the same command again when it does; "
                        "drift and status work meanwhile",
                    ) from error

    def list_all(self, path: str) -> tuple[ApiObject, ...]:
        """All pages of a list; the one thing where a path holds no list (`pricing`)."""
        kind, page, items = path.partition("?")[0], 1, list[ApiObject]()
        glue = "&" if "?" in path else "?"
        while page:
            answer = self.get(f"/{path}{glue}page={page}&per_page={PER_PAGE}")
            if "meta" not in answer:
                return (answer[kind],)
            items += answer[kind]
            page = answer["meta"]["pagination"]["next_page"]
        return tuple(items)

    def write(self, method: str, path: str, body: object, timeout: float) -> dict[str, Any]:
        """A change, repeated for `timeout` seconds while its object is busy. Raises Refusal, Lost,
        CloudError."""
        budget = self._budget(timeout)
        while True:
            fault_point = fault_points.before_change()
            try:
                answer = self._send(method, path, body, WRITE_TIMEOUT)
            except HetznerApiError as error:
                if error.code not in _BUSY or not budget.sleep():
                    raise
            else:
                fault_points.after_change(fault_point)
                return answer

    def wait_for_actions(self, actions: Iterable[ApiObject], timeout: float) -> None:
        """Wait for all of them, one call a round. Raises Refusal for one that failed, CloudError
        past `timeout` seconds."""
        budget = self._budget(timeout)
        running = list(actions)
        while True:
            for action in running:
                if error := action.get("error"):
                    what = f"{action['command']} (action {action['id']}) failed: {error['message']}"
                    raise HetznerApiError(error["code"], what)
            running = [a for a in running if a["status"] == "running"]
            if not running:
                return
            if not budget.sleep():
                slow = running[0]
                raise CloudError(
                    f"{slow['command']} (action {slow['id']}) is still running "
                    f"after {timeout:.0f} s",
                    next="it continues by itself; run the same command again",
                )
            ids = "&".join(f"id={action['id']}" for action in running[:PER_PAGE])
            answer = self.get(f"/actions?{ids}&per_page={PER_PAGE}")
            by_id = {action["id"]: action for action in answer["actions"]}
            running = [by_id.get(a["id"], a) for a in running]

    def _budget(self, seconds: float) -> "_RetryBudget":
        return _RetryBudget(seconds, self._clock, self._sleep)

    def _send(
        self, method: str, path: str, body: object, timeout: tuple[float, float]
    ) -> dict[str, Any]:
        """One call, and the rate limit sat out. Raises Refusal, Lost, CloudError."""
        import hcloud
        import requests

        budget = self._budget(RATE_LIMIT_SECONDS)
        while True:
            try:
                return self._client().request(
                    method, path, json=body, timeout=timeout, **self._options()
                )
            except _RateLimited as error:
                if not budget.sleep(error.reset - time.time()):
                    raise _rate_limit_error(error.reset) from error
            except hcloud.APIException as error:
                code = str(error.code)
                if code in _BROKEN or code.startswith("5"):
                    raise NoResponse(f"{error.message} ({code})") from error
                details = error.details if isinstance(error.details, dict) else None
                raise HetznerApiError(code, error.message, details) from error
            except requests.exceptions.SSLError as error:
                raise CloudError(
                    f"the API's certificate is not valid: {error}",
                    where=self._endpoint,
                    state="the request was not sent",
                    next="find out which server answers there; this check cannot be skipped",
                ) from error
            except requests.RequestException as error:
                self._count()
                raise NoResponse(_short_message(error)) from error

    def _client(self) -> "hcloud.Client":
        import hcloud

        client: hcloud.Client | None = getattr(self._thread_local, "client", None)
        if client is None:
            client = self._thread_local.client = hcloud.Client(
                self._token.reveal().decode(),
                api_endpoint=self._endpoint,
                application_name="pgprovision",
                application_version=__version__,
                timeout=WRITE_TIMEOUT,
            )
        return client

    def _options(self) -> dict[str, Any]:
        """An endpoint without TLS is on this machine: no proxy stands between."""
        options: dict[str, Any] = {"hooks": {"response": self._on_response}}
        if self._endpoint.startswith("http://"):
            options["proxies"] = {"http": "", "all": ""}
        return options

    def _count(self) -> None:
        with self._calls_lock:
            self.calls += 1

    def _on_response(self, response: "requests.Response", *_: object, **__: object) -> None:
        self._count()
        if response.status_code == 429:
            response.close()
            raise _RateLimited(float(response.headers.get("RateLimit-Reset", 0)))


class _RetryBudget:
    """Pauses between tries, and an end to them: short enough for a lab, then long enough for the
    hourly limit."""

    def __init__(
        self, seconds: float, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._until = clock() + seconds
        self._pause = 0.1

    def sleep(self, retry_after: float = 0.0) -> bool:
        """Sleep until the next try; False where there is none. `retry_after` is how many seconds
        make sense to wait: the pause grows towards it, up to a minute."""
        pause = max(self._pause, min(retry_after, self._pause * 10))
        if self._clock() + pause > self._until:
            return False
        self._sleep(pause)
        self._pause = min(5.0, self._pause * 1.5)
        return True


def _short_message(error: Exception) -> str:
    """What the library says last: "Connection refused", "Read timed out. (read timeout=30)"."""
    cause = error.args[0] if error.args else error
    message = str(getattr(cause, "reason", cause)).rpartition(": ")[2].rstrip("')\"")
    return re.sub(r"^\[Errno \d+\] ", "", message)


def _rate_limit_error(reset: float) -> CloudError:
    reset_time = datetime.fromtimestamp(reset, UTC).strftime("%H:%M:%S UTC")
    return CloudError(
        f"Hetzner's rate limit is exhausted; it resets at {reset_time}",
        next="run the same command again then; see who else uses this project's API",
    )
