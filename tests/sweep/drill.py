"""`make drill-sweep`: a drill killed at each of its changes, and what `drill --clean` leaves: no
server, volume, key or secret by the API's list and on the spare host; production as it was.

On a server made for it the points are those up to its packages, on a spare host all of them.

    python -m tests.sweep.drill
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.cli_user import CliUser, CommandResult, new_user, wait_for
from tests.support.drill_host import (
    DATA_DIRECTORY,
    DRILL_HOST,
    create_drill_host,
    drill_name,
    is_clean,
    pin_host_key,
)
from tests.support.inventory_folders import bare_host
from tests.support.temporary_lab import temporary_lab
from tests.sweep.walk import MAX_POINTS, Walk, check_result

CLUSTER = "rehearsed"
PRIMARY = f"{CLUSTER}-1"
SERVER_CRASH_POINTS = (
    14  # the server, its keys, its claim; then packages, which are as on a spare host
)
PRODUCTION_QUERY = (
    "select pg_postmaster_start_time(), timeline_id, (select count(*) from pg_replication_slots)"
    " from pg_control_checkpoint()"
)


def sweep_drill(
    person: CliUser, walk: Walk, *words: str, points: int, leftovers: Callable[[], list[str]]
) -> None:
    """Each point is one run from the beginning, killed there, and cleaned after it."""
    before = person.sql(PRIMARY, PRODUCTION_QUERY)
    while walk.points < points:
        run = run_drill(person, *words, kill=f"{walk.points + 1}:after")
        check_result(walk, run)
        if run.code != -signal.SIGKILL:
            walk.expect(run.code == 0, f"undisturbed it ends with {run.code}: {run.err[-400:]}")
            break
        walk.points += 1
        cleaned = run_drill(person, "--clean", *words)
        walk.expect(cleaned.code == 0, f"point {walk.points}: clean: {cleaned.err[-400:]}")
        walk.wrong += [f"point {walk.points}: {left}" for left in leftovers()]
    walk.expect(person.sql(PRIMARY, PRODUCTION_QUERY) == before, "production was touched")


def run_drill(person: CliUser, *words: str, kill: str = "") -> CommandResult:
    with person.start("drill", *words, "--yes", kill=kill) as running:
        return wait_for(running, 900)


def server_leftovers(person: CliUser) -> list[str]:
    """What is still there of a drill's server."""
    servers = {str(server.name) for server in person.cloud().servers.get_all()}
    volumes = [str(volume.name) for volume in person.cloud().volumes.get_all()]
    name, secrets = drill_name(person), person.inventory / "secrets"
    left = [f"server {found}" for found in servers - {PRIMARY, DRILL_HOST}] + volumes
    left += ["its pin"] if name in (secrets / "known_hosts").read_text() else []
    return left + (["its host key"] if (secrets / "host_keys" / name).exists() else [])


def host_leftovers(person: CliUser) -> list[str]:
    """The same of a copy on the spare host; what was set aside makes room for the next one."""
    left = [] if is_clean(person) else ["a copy or a secret on the spare host"]
    person.shell(DRILL_HOST, f"rm -rf {DATA_DIRECTORY}.aside-*")
    return left


def main() -> int:
    with temporary_lab("-drills") as lab, tempfile.TemporaryDirectory() as home:
        person = new_user(lab, Path(home), CLUSTER)
        person.rewrite("cluster.yml", {r"(?m)^host:\n(?:[ #].*\n)*": bare_host()})
        person.run_json("up", "--yes")
        walks = []
        for kind in ("server", "spare host"):
            walk, began = Walk("drill", kind), time.monotonic()
            walks.append(walk)
            if kind == "server":
                sweep_drill(
                    person,
                    walk,
                    points=SERVER_CRASH_POINTS,
                    leftovers=lambda: server_leftovers(person),
                )
            else:
                address = create_drill_host(person)
                pin_host_key(person)
                words = ("--on", address)
                sweep_drill(
                    person,
                    walk,
                    *words,
                    points=MAX_POINTS,
                    leftovers=lambda: host_leftovers(person),
                )
            state = "ok" if not walk.wrong else f"WRONG: {'; '.join(walk.wrong)}"
            took = time.monotonic() - began
            sys.stderr.write(f"drill {kind:<10} {walk.points:>4} points {took:>7.1f} s {state}\n")
        return 1 if any(walk.wrong for walk in walks) else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
