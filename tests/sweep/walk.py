"""Every crash point of a command, one after the other, on real machines.

A walk repeats one command. Each time a fault strikes at its first change (or right before its
second), so each run gets one step further than the one before, and the faults pile up: every point
is visited, in the state that all the faults before it left. The walk ends with the run that finds
nothing more to do; the oracles judge what is there then.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pgprovision.lab.process import wait_until
from tests.support.cli_user import CliUser, CommandResult, wait_for

RUN_TIMEOUT_SECONDS = 1800  # seconds for one run: a busy machine is no fault
MAX_POINTS = 250  # points of one command; more means that it does not get further


@dataclass
class Walk:
    """One command under one kind of fault."""

    scenario: str
    kind: str
    stride: int = 1
    points: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    codes: list[int] = field(
        default_factory=list
    )  # how each run ended, a rerun that finds nothing last
    log: Path | None = None  # the output of each run

    def expect(self, condition: bool, what: str) -> None:
        if not condition:
            self.wrong.append(what)

    def add_result(self, run: CommandResult) -> None:
        self.codes.append(run.code)
        if self.log is not None:
            with self.log.open("a") as log:
                head = f"{self.scenario}, {self.kind}, after point {self.points}"
                log.write(f"== {time.strftime('%X')} {head}: exit {run.code}\n{run.err}{run.out}\n")

    @property
    def document(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "log"}


FaultInjector = Callable[[CliUser, "subprocess.Popen[str]"], None]


def kill_ssh_sessions(person: CliUser, process: "subprocess.Popen[str]") -> None:
    """Kind 2: sshd's children die, on every machine."""
    for node in running_machines(person):
        person.console(node, "kill -9 $(ps -eo pid,args | awk '/[s]shd: root@notty/ { print $1 }')")


def drop_network(seconds: float) -> FaultInjector:
    """Kind 3: every machine falls off the public network. Past the lease (60 s), or for a moment
    (6 s) that the run has to sit out."""
    add_table = (
        "nft 'add table inet sweep; add chain inet sweep in { type filter hook input priority"
    )
    rule = f"{add_table} -300; policy accept; }}; add rule inet sweep in tcp dport 22 drop'"

    def inject(person: CliUser, process: "subprocess.Popen[str]") -> None:
        for node in running_machines(person):
            person.console(node, rule)
        process.send_signal(signal.SIGCONT)
        time.sleep(seconds)
        for node in running_machines(person):
            person.console(node, "nft delete table inet sweep")

    return inject


def cut_power(person: CliUser, process: "subprocess.Popen[str]") -> None:
    """Kind 4: every machine dies as by a cut cable, and is started again."""
    servers = person.cloud().servers
    for server in servers.get_all():
        if server.name in running_machines(person) and server.status == "running":
            servers.power_off(server).wait_until_finished()
    process.send_signal(signal.SIGCONT)
    time.sleep(1)
    for server in servers.get_all():
        if server.status == "off" and server.private_net:
            servers.power_on(server).wait_until_finished()
            is_up = "systemctl is-system-running --wait >&2; systemctl is-active ssh"
            wait_until(partial(_succeeds, person, str(server.name), is_up), RUN_TIMEOUT_SECONDS)


def _succeeds(person: CliUser, node: str, text: str) -> bool:
    return person.console(node, text).returncode == 0


def running_machines(person: CliUser) -> list[str]:
    """Those of the cluster that run now."""
    cluster = person.inventory.parent.name
    found = person.cloud().servers.get_all(label_selector=f"cluster={cluster}")
    return [str(server.name) for server in found if server.status == "running"]


def kill_each_point(person: CliUser, walk: Walk, *words: str, point: str) -> CommandResult:
    """Kind 1: SIGKILL at this point of each run, until a run ends by itself."""
    while walk.points < MAX_POINTS:
        with person.start(*words, kill=point) as process:
            run = wait_for(process, RUN_TIMEOUT_SECONDS)
        check_result(walk, run)
        if run.code != -signal.SIGKILL:
            return run
        walk.points += 1
    walk.wrong.append("it never ends")
    return run


def inject_each_point(
    person: CliUser,
    walk: Walk,
    *words: str,
    inject: FaultInjector,
    points: int = MAX_POINTS,
    stride: int = 1,
) -> CommandResult:
    """Before the first change (or the `stride`th) of each run it stops, the fault is injected, it
    goes on and is asked to end after the step. The last run is left alone."""
    while walk.points < points:
        with person.start(*words, kill=f"{stride}:before:STOP") as process:
            stopped = wait_until_stopped(process)
            if stopped:
                walk.points += 1
                inject(person, process)
                process.send_signal(signal.SIGCONT)
                time.sleep(0.3)
                process.send_signal(signal.SIGINT)
            run = wait_for(process, RUN_TIMEOUT_SECONDS)
        check_result(walk, run)
        if not stopped:
            return run
    with person.start(*words) as process:
        run = wait_for(process, RUN_TIMEOUT_SECONDS)
    check_result(walk, run)
    return run


def wait_until_stopped(process: "subprocess.Popen[str]") -> bool:
    """Whether it stopped itself; False: it ended."""
    while True:
        pid, status = os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)
        if pid and os.WIFSTOPPED(status):
            return True
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return False
        time.sleep(0.02)


def check_result(walk: Walk, run: CommandResult) -> None:
    """O3: a documented exit code, no traceback, and where it failed a next command."""
    walk.add_result(run)
    codes = {*range(8), 130, 143, -signal.SIGKILL}
    walk.expect(run.code in codes, f"exit {run.code}: {run.err[-400:]}")
    walk.expect("Traceback" not in run.err, f"a traceback: {run.err[-800:]}")
    if run.code in (3, 5, 6, 7):
        walk.expect("next:" in run.err, f"no next command: {run.err[-400:]}")
