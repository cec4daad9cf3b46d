"""`make sweep`: crash points of an install, add-replica, a day-two change and destroy, by kinds of
death; the standing oracles after each. A line for each walk, one JSON file with those that ended,
and a log of the output of each run.

    python -m tests.sweep [--only kill-before,host] [--stride 4] [--points 9] [--results FOLDER]
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.support.cli_user import CliUser, new_user, wait_for
from tests.support.result_files import current_commit
from tests.support.temporary_lab import temporary_lab
from tests.sweep import walk as walks
from tests.sweep.walk import Walk, inject_each_point, kill_each_point, running_machines

FIRST, SECOND = "sweep-1", "sweep-2"
CONF = "/etc/postgresql/15/main"
DRIFT_SCRIPTS = (  # what hands and time do between two runs, on the primary
    f"echo '# by hand' >>{CONF}/postgresql.conf",
    f"echo 'host all all 0.0.0.0/0 trust' >>{CONF}/pg_hba.conf; chmod 666 {CONF}/pg_hba.conf",
    "systemctl disable --now pgprovision-backup-full.timer pgprovision-backup-diff.timer >&2 || :",
    "rm -f /etc/update-motd.d/50-pgprovision",
    "nft add rule inet pgprovision input tcp dport 5432 accept || :",
)
IN_RECOVERY_QUERY = "select pg_is_in_recovery()"
DRIFT_SQL = ("alter role rails connection limit 7", "alter system set work_mem = '64MB'")
SMALLER_STRIDES = {"day-two": 3, "destroy": 2}  # strides of commands with few changes
FaultyCommand = Callable[[Walk, tuple[str, ...]], tuple[int, str]]


class SweepResults:
    """The results so far, on disk: a sweep may be cut short."""

    def __init__(self, folder: Path, stride: int) -> None:
        folder.mkdir(exist_ok=True)
        self.stride = stride
        self.walks: list[Walk] = []
        self.began = datetime.now(UTC)
        self.commit = current_commit()
        self.path = folder / f"sweep-{self.began:%Y%m%dT%H%M%SZ}.json"
        self.log = self.path.with_suffix(".log")

    @property
    def points(self) -> int:
        return sum(walk.points for walk in self.walks)

    @property
    def converged(self) -> int:
        return sum(walk.points for walk in self.walks if not walk.wrong)

    def add(self, walk: Walk) -> None:
        self.walks.append(walk)
        document = {
            "version": 2,
            "what": "sweep",
            "commit": self.commit,
            "began": self.began.isoformat(timespec="seconds"),
            "load": os.getloadavg()[0],
            "stride": self.stride,
            "points": self.points,
            "converged": self.converged,
            "walks": [walk.document for walk in self.walks],
        }
        self.path.write_text(json.dumps(document, indent=2) + "\n")


class CrashSweep:
    """A cluster in a lab, its canary and what was found."""

    def __init__(self, person: CliUser, results: "SweepResults") -> None:
        self.user = person
        self.results = results
        self.rows = 0

    @contextmanager
    def walk(self, scenario: str, kind: str) -> Iterator[Walk]:
        stride = min(self.results.stride, SMALLER_STRIDES.get(scenario, self.results.stride))
        walk, began = Walk(scenario, kind, stride, log=self.results.log), time.monotonic()
        try:
            yield walk
        except Exception as error:
            walk.wrong.append(f"{type(error).__name__}: {error}")
        walk.seconds = round(time.monotonic() - began, 1)
        self.results.add(walk)
        state = "ok" if not walk.wrong else f"WRONG: {'; '.join(walk.wrong)}"
        sys.stderr.write(
            f"{scenario:<12} {kind:<12} {walk.points:>4} points {walk.seconds:>7} s {state}\n"
        )

    def check_converged(self, walk: Walk, run_code: int, err: str) -> None:
        """O1, O2, O4 and V10 after a walk."""
        person = self.user
        walk.expect(run_code == 0, f"the last run ended with {run_code}: {err[-600:]}")
        with person.start("up", "--json") as process:
            rerun = wait_for(process, walks.RUN_TIMEOUT_SECONDS)
        walk.add_result(rerun)
        document = rerun.document
        walk.expect(
            rerun.code == 0 and not document["changes"],
            f"a rerun ends with {rerun.code}: changes {document['changes']},"
            f" waits for {document['in_progress']}, fails {document['failed']}",
        )
        walk.expect(
            set(document["ssh_execs"].values()) == {1}, f"SSH execs: {document['ssh_execs']}"
        )
        if self.rows:
            rows = person.sql(FIRST, "select count(*), max(n) from canary")
            walk.expect(rows == f"{self.rows}|{self.rows}", f"canary: {rows}, written {self.rows}")
        writable = [n for n in running_machines(person) if person.sql(n, IN_RECOVERY_QUERY) == "f"]
        walk.expect(writable == [FIRST], f"V10: writable are {writable}")
        secrets = [text for text in person.secrets().values() if text in record_text(person)]
        walk.expect(not secrets, "a secret is in a record")

    def insert_canary_row(self) -> None:
        """One more acknowledged row."""
        if not self.rows:
            self.user.sql(FIRST, "create table canary (n int)")
        self.rows += 1
        self.user.sql(FIRST, f"insert into canary values ({self.rows})")

    def make_drift(self) -> None:
        for script in DRIFT_SCRIPTS:
            self.user.console(FIRST, script)
        for query in DRIFT_SQL:
            self.user.sql(FIRST, query)
        self.insert_canary_row()

    def run_cycle(self, kind: str, command: FaultyCommand) -> None:
        """From nothing to nothing."""
        self.rows = 0
        for scenario, words in (
            ("install", ("up", "primary", "--yes")),
            ("add-replica", ("add-replica", SECOND, "--yes")),
            ("day-two", ("up", "--yes", "--allow", "restart")),
        ):
            with self.walk(scenario, kind) as walk:
                if scenario == "day-two":
                    self.make_drift()
                code, err = command(walk, words)
                self.check_converged(walk, code, err)
                self.insert_canary_row()
        with self.walk("destroy", kind) as walk:
            code, err = command(walk, ("destroy", "--confirm", "sweep"))
            walk.expect(code == 0, f"the last run ended with {code}: {err[-600:]}")
            left = self.user.cloud().servers.get_all(label_selector="cluster=sweep")
            walk.expect(not left, f"servers left: {left}")
        (self.user.inventory / "nodes" / f"{SECOND}.yml").unlink(missing_ok=True)


def record_text(person: CliUser) -> str:
    return "\n".join(path.read_text() for path in person.home.rglob("runs/*") if path.is_file())


def sweep(person: CliUser, only: set[str], points: int, results: SweepResults) -> None:
    crash_sweep = CrashSweep(person, results)

    def with_kill(when: str, first: int) -> FaultyCommand:
        def command(walk: Walk, words: tuple[str, ...]) -> tuple[int, str]:
            run = kill_each_point(person, walk, *words, point=f"{walk.stride + first}:{when}")
            return run.code, run.err

        return command

    def with_fault(inject: walks.FaultInjector, most: int) -> FaultyCommand:
        def command(walk: Walk, words: tuple[str, ...]) -> tuple[int, str]:
            limit = points or most
            run = inject_each_point(
                person, walk, *words, inject=inject, points=limit, stride=walk.stride
            )
            return run.code, run.err

        return command

    kinds = {
        "kill-after": with_kill("after", 0),
        "kill-before": with_kill("before", 1),
        "sshd": with_fault(walks.kill_ssh_sessions, walks.MAX_POINTS),
        "network": with_fault(walks.drop_network(60), 3),
        "blip": with_fault(walks.drop_network(6), 3),
        "host": with_fault(walks.cut_power, 3),
    }
    for kind, command in kinds.items():
        if kind in only:
            crash_sweep.run_cycle(kind, command)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="kill-after,kill-before,sshd,network,blip,host")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--stride", type=int, default=1, help="a fault every so many changes")
    parser.add_argument("--points", type=int, default=0, help="at most so many in a command")
    options = parser.parse_args()
    results = SweepResults(options.results, options.stride)
    with temporary_lab("-sweep") as lab, tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "sweep"  # the home's name is the cluster's
        folder.mkdir()
        person = new_user(lab, folder, "sweep")
        sweep(person, set(options.only.split(",")), options.points, results)
    sys.stderr.write(
        f"crash points converged: {results.converged} of {results.points}; {results.path}\n"
    )
    return 0 if results.points and results.converged == results.points else 1


if __name__ == "__main__":
    sys.exit(main())
