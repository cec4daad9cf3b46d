"""`make sweep`: crash points of an install, add-replica, a day-two change and destroy, by kinds of
death; the standing oracles after each. A line for each walk, one JSON file with those that ended,
and a log of what each run said.

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

from tests.support.cli_user import Person, finished, newcomer
from tests.support.result_files import commit
from tests.support.temporary_lab import temporary_lab
from tests.sweep import walk as walks
from tests.sweep.walk import Walk, killed, machines, struck

FIRST, SECOND = "sweep-1", "sweep-2"
CONF = "/etc/postgresql/15/main"
DAY_TWO = (  # what hands and time do between two runs, on the primary
    f"echo '# by hand' >>{CONF}/postgresql.conf",
    f"echo 'host all all 0.0.0.0/0 trust' >>{CONF}/pg_hba.conf; chmod 666 {CONF}/pg_hba.conf",
    "systemctl disable --now pgprovision-backup-full.timer pgprovision-backup-diff.timer >&2 || :",
    "rm -f /etc/update-motd.d/50-pgprovision",
    "nft add rule inet pgprovision input tcp dport 5432 accept || :",
)
WRITABLE = "select pg_is_in_recovery()"
SQL = ("alter role rails connection limit 7", "alter system set work_mem = '64MB'")
FEW = {"day-two": 3, "destroy": 2}  # strides of commands with few changes
Command = Callable[[Walk, tuple[str, ...]], tuple[int, str]]


class Kept:
    """The results so far, on disk: a sweep may be cut short."""

    def __init__(self, folder: Path, stride: int) -> None:
        folder.mkdir(exist_ok=True)
        self.stride = stride
        self.walks: list[Walk] = []
        self.began = datetime.now(UTC)
        self.commit = commit()
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


class Sweep:
    """A cluster in a lab, its canary and what was found."""

    def __init__(self, person: Person, kept: "Kept") -> None:
        self.person = person
        self.kept = kept
        self.rows = 0

    @contextmanager
    def walk(self, scenario: str, kind: str) -> Iterator[Walk]:
        stride = min(self.kept.stride, FEW.get(scenario, self.kept.stride))
        walk, began = Walk(scenario, kind, stride, log=self.kept.log), time.monotonic()
        try:
            yield walk
        except Exception as error:
            walk.wrong.append(f"{type(error).__name__}: {error}")
        walk.seconds = round(time.monotonic() - began, 1)
        self.kept.add(walk)
        state = "ok" if not walk.wrong else f"WRONG: {'; '.join(walk.wrong)}"
        sys.stderr.write(
            f"{scenario:<12} {kind:<12} {walk.points:>4} points {walk.seconds:>7} s {state}\n"
        )

    def converged(self, walk: Walk, run_code: int, err: str) -> None:
        """O1, O2, O4 and V10 after a walk."""
        person = self.person
        walk.expect(run_code == 0, f"the last run ended with {run_code}: {err[-600:]}")
        with person.begin("up", "--json") as process:
            again = finished(process, walks.PATIENCE)
        walk.note(again)
        found = again.document
        walk.expect(
            again.code == 0 and not found["changes"],
            f"a rerun ends with {again.code}: changes {found['changes']},"
            f" waits for {found['waiting']}, fails {found['failed']}",
        )
        walk.expect(set(found["trips"].values()) == {1}, f"trips: {found['trips']}")
        if self.rows:
            rows = person.sql(FIRST, "select count(*), max(n) from canary")
            walk.expect(rows == f"{self.rows}|{self.rows}", f"canary: {rows}, written {self.rows}")
        writable = [n for n in machines(person) if person.sql(n, WRITABLE) == "f"]
        walk.expect(writable == [FIRST], f"V10: writable are {writable}")
        secrets = [text for text in person.secrets().values() if text in run_text(person)]
        walk.expect(not secrets, "a secret is in a record")

    def canary(self) -> None:
        """One more acknowledged row."""
        if not self.rows:
            self.person.sql(FIRST, "create table canary (n int)")
        self.rows += 1
        self.person.sql(FIRST, f"insert into canary values ({self.rows})")

    def drifted(self) -> None:
        for hand in DAY_TWO:
            self.person.console(FIRST, hand)
        for query in SQL:
            self.person.sql(FIRST, query)
        self.canary()

    def cycle(self, kind: str, command: Command) -> None:
        """From nothing to nothing."""
        self.rows = 0
        for scenario, words in (
            ("install", ("up", "primary", "--yes")),
            ("add-replica", ("add-replica", SECOND, "--yes")),
            ("day-two", ("up", "--yes", "--allow", "restart")),
        ):
            with self.walk(scenario, kind) as walk:
                if scenario == "day-two":
                    self.drifted()
                code, err = command(walk, words)
                self.converged(walk, code, err)
                self.canary()
        with self.walk("destroy", kind) as walk:
            code, err = command(walk, ("destroy", "--confirm", "sweep"))
            walk.expect(code == 0, f"the last run ended with {code}: {err[-600:]}")
            left = self.person.cloud().servers.get_all(label_selector="cluster=sweep")
            walk.expect(not left, f"servers left: {left}")
        (self.person.inventory / "nodes" / f"{SECOND}.yml").unlink(missing_ok=True)


def run_text(person: Person) -> str:
    return "\n".join(path.read_text() for path in person.home.rglob("runs/*") if path.is_file())


def sweep(person: Person, only: set[str], points: int, kept: Kept) -> None:
    self = Sweep(person, kept)

    def by_kill(when: str, first: int) -> Command:
        def command(walk: Walk, words: tuple[str, ...]) -> tuple[int, str]:
            run = killed(person, walk, *words, point=f"{walk.stride + first}:{when}")
            return run.code, run.err

        return command

    def by(inject: walks.Inject, most: int) -> Command:
        def command(walk: Walk, words: tuple[str, ...]) -> tuple[int, str]:
            limit = points or most
            run = struck(person, walk, *words, inject=inject, points=limit, stride=walk.stride)
            return run.code, run.err

        return command

    kinds = {
        "kill-after": by_kill("after", 0),
        "kill-before": by_kill("before", 1),
        "sshd": by(walks.no_line, walks.LIMIT),
        "network": by(walks.no_network(60), 3),
        "blip": by(walks.no_network(6), 3),
        "host": by(walks.no_host, 3),
    }
    for kind, command in kinds.items():
        if kind in only:
            self.cycle(kind, command)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="kill-after,kill-before,sshd,network,blip,host")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--stride", type=int, default=1, help="a fault every so many changes")
    parser.add_argument("--points", type=int, default=0, help="at most so many in a command")
    options = parser.parse_args()
    kept = Kept(options.results, options.stride)
    with temporary_lab("-sweep") as lab, tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "sweep"  # the home's name is the cluster's
        folder.mkdir()
        person = newcomer(lab, folder, "sweep")
        sweep(person, set(options.only.split(",")), options.points, kept)
    sys.stderr.write(f"crash points converged: {kept.converged} of {kept.points}; {kept.path}\n")
    return 0 if kept.points and kept.converged == kept.points else 1


if __name__ == "__main__":
    sys.exit(main())
