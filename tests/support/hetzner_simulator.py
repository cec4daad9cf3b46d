"""A simulator for tests: machines that exist only in memory, a real HTTP server in a thread."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import requests
from hcloud import Client

from pgprovision.lab.cloud import ApiToken, SimulatorSettings, create_app
from pgprovision.lab.cloud.serve import server
from pgprovision.lab.hypervisor import (
    HypervisorError,
    LabFirewallRule,
    MachineSpec,
    PrivateInterface,
)

TOKEN, READ_ONLY_TOKEN, OTHER_PROJECT_TOKEN, CONTROL_TOKEN = (
    "token-main",
    "token-reader",
    "token-other",
    "token-lab",
)
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVsT2MDFjFz1GsGZ8c1p1xFzGz3b8c0n1q5yqkq7n1v test"
DEFAULT_SETTINGS = SimulatorSettings(
    tokens={
        TOKEN: ApiToken("main"),
        READ_ONLY_TOKEN: ApiToken("main", read_only=True),
        OTHER_PROJECT_TOKEN: ApiToken("other"),
    },
    control_token=CONTROL_TOKEN,
    action_seconds=0.02,
)


@dataclass
class FakeHypervisor:
    """A hypervisor that only remembers. `log` holds the calls; `broken` names calls that fail."""

    addresses: tuple[str, ...] = tuple(f"192.0.2.{n}" for n in range(10, 40))
    log: list[tuple[str, int]] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    specs: dict[int, MachineSpec] = field(default_factory=dict)
    interfaces: dict[int, dict[int, PrivateInterface]] = field(default_factory=dict)
    rules: dict[int, tuple[LabFirewallRule, ...] | None] = field(default_factory=dict)
    power: set[int] = field(default_factory=set)
    pause: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.pause.set()

    def _log_call(self, call: str, machine: int) -> None:
        self.pause.wait(30)
        self.log.append((call, machine))
        if call in self.broken:
            raise HypervisorError(f"{call} of machine {machine} failed: the test says so")

    def public_addresses(self) -> tuple[str, ...]:
        return self.addresses

    def create(self, spec: MachineSpec) -> None:
        self._log_call("create", spec.id)
        self.specs[spec.id] = spec
        self.interfaces.setdefault(spec.id, {})

    def start(self, machine: int, interfaces: tuple[PrivateInterface, ...]) -> None:
        self._log_call("start", machine)
        self.interfaces[machine] = {interface.network_id: interface for interface in interfaces}
        self.power.add(machine)

    def power_off(self, machine: int) -> None:
        self._log_call("power_off", machine)
        self.power.discard(machine)

    def shutdown(self, machine: int) -> None:
        self._log_call("shutdown", machine)
        self.power.discard(machine)

    def reboot(self, machine: int) -> None:
        self._log_call("reboot", machine)

    def reset(self, machine: int) -> None:
        self._log_call("reset", machine)
        self.power.add(machine)

    def delete(self, machine: int) -> None:
        self._log_call("delete", machine)
        self.power.discard(machine)
        self.specs.pop(machine, None)

    def rebuild(self, spec: MachineSpec) -> None:
        self._log_call("rebuild", spec.id)
        self.power.discard(spec.id)
        self.specs[spec.id] = spec

    def attach(self, machine: int, interface: PrivateInterface) -> None:
        self._log_call("attach", machine)
        self.interfaces[machine][interface.network_id] = interface

    def detach(self, machine: int, network_id: int) -> None:
        self._log_call("detach", machine)
        self.interfaces[machine].pop(network_id, None)

    def set_firewall(self, machine: int, rules: tuple[LabFirewallRule, ...] | None) -> None:
        self._log_call("firewall", machine)
        self.rules[machine] = rules

    def is_running(self, machine: int) -> bool:
        return machine in self.power


@dataclass(frozen=True)
class HetznerSimulator:
    """A served simulator; `machines` is what it drives."""

    url: str
    machines: FakeHypervisor

    @property
    def endpoint(self) -> str:
        return f"{self.url}/v1"

    def client(self, token: str = TOKEN) -> Client:
        return Client(token, api_endpoint=self.endpoint, poll_interval=0.02, timeout=10)

    def call(
        self, method: str, path: str, json: Any = None, token: str = TOKEN
    ) -> requests.Response:
        """One call without the client's retries; `path` is what follows /v1."""
        headers = {"Authorization": f"Bearer {token}"}
        return requests.request(
            method, f"{self.endpoint}{path}", json=json, headers=headers, timeout=10
        )

    def control(self, method: str, path: str, json: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {CONTROL_TOKEN}"}
        url = f"{self.url}/_lab{path}"
        answer = requests.request(method, url, json=json, headers=headers, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def fault(self, **fault: Any) -> None:
        """Switch on this one fault (and off any other)."""
        self.control("PUT", "/faults", {"faults": [fault]})

    def wait_for_actions(self, actions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The actions as they are when all of them are over."""
        if not actions:
            return []
        query = "&".join(f"id={action['id']}" for action in actions)
        while True:
            found: list[dict[str, Any]] = self.call("GET", f"/actions?{query}").json()["actions"]
            if all(action["status"] != "running" for action in found):
                return found
            time.sleep(0.01)


@contextmanager
def serve_simulator(
    folder: Path,
    machines: FakeHypervisor | None = None,
    settings: SimulatorSettings = DEFAULT_SETTINGS,
    **changes: Any,
) -> Iterator[HetznerSimulator]:
    """Serve on a free port of 127.0.0.1 until the end of the block; state is in `folder`."""
    machines = machines or FakeHypervisor()
    app = create_app(folder, machines, replace(settings, **changes))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        running = server(app, "127.0.0.1", port)
        thread = threading.Thread(target=running.run, args=([listener],), daemon=True)
        thread.start()
        while not running.started:
            time.sleep(0.005)
        try:
            yield HetznerSimulator(f"http://127.0.0.1:{port}", machines)
        finally:
            running.should_exit = True
            thread.join(20)
