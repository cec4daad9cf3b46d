"""A run's whole life, watched: twelve secrets, and everything that was left to be searched."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pgprovision.lab.command import LabError
from pgprovision.lab.process import wait_until
from tests.support.canary_secrets import Canary, below, key, made, patterns, plain
from tests.support.cli_user import CHECKOUT, Person, Run

FIRST, SECOND = "canary-1", "canary-2"
KILLED = -9
PUBLISHED = {
    FIRST: {"/etc/pgbackrest/pgbackrest.conf"},
    SECOND: {"/etc/pgbackrest/pgbackrest.conf", "/etc/pgprovision/replication.pgpass"},
}
EVERYWHERE = "/ --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev"
PSQL = "runuser -u postgres -- psql -XAtq"
ACTIVITY = "select query from pg_stat_activity where pid <> pg_backend_pid()"
EVER = "select query from pg_stat_statements"
SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")
SHADOW = b"/etc/shadow"
STATE_OF_SHADOW = "sha256sum /etc/shadow; stat -c '%a %U %G' /etc/shadow"
CONTROL = made("control")
HISTORIES = "cat /root/.*_history /home/*/.*_history ~postgres/.*_history"


@dataclass(frozen=True)
class Hunted(Person):
    """A person with an SSH agent that everybody may use, and a folder of temporary files."""

    @property
    def environment(self) -> dict[str, str]:
        own = {"SSH_AUTH_SOCK": str(self.home / "agent"), "TMPDIR": str(self.home / "tmp")}
        return {**super().environment, **own}


@dataclass
class Hunt:
    """What was done, and everything it left to be searched."""

    person: Hunted
    folder: Path
    canaries: list[Canary] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    statements: dict[str, bytes] = field(default_factory=dict)
    shadow: dict[str, bytes] = field(default_factory=dict)
    agents: str = ""  # sockets of forwarded agents that were ever there

    def run(self, *words: str, kill: str = "") -> Run:
        run = self.person.run(*words, kill=kill)
        self.runs.append(run)
        return run

    def found(self, node: str, where: str, options: str = "-r") -> set[str]:
        """Files of a machine with a canary in them, in any spelling."""
        search = f"grep {options} -laFf - {where}"
        told = self.person.shell(node, search, patterns(self.canaries), fails=True)
        return {line for line in told.splitlines() if line.startswith("/")}

    @property
    def processes(self) -> int:
        """How many programs were started while we watched."""
        return int((self.folder / "execs").read_text())

    @property
    def argv(self) -> bytes:
        return (self.folder / "cmdline").read_bytes()

    def told(self, node: str, command: str) -> bytes:
        """What a command as root on a machine printed, in whatever encoding."""
        words = self.person.lab.shell(node, ["sh", "-c", f"cd /\n{command}"])
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True).stdout.strip()


@contextmanager
def watched(person: Hunted, folder: Path) -> Iterator[Hunt]:
    """While this lasts, every process, wire and statement is written down."""
    hunt = Hunt(person, folder, _canaries(person))
    with _agent(person), _watched(hunt), _statements(hunt):
        yield hunt


def _canaries(person: Person) -> list[Canary]:
    """Nine; three more are made on day two."""
    secrets, env = person.inventory / "secrets", person.lab.env()
    passwords = ("rails.password", "reporting.password", "replicator.password")
    ours = [made(name) for name in (*passwords, "pgbackrest.passphrase")]
    for canary in ours:
        (secrets / canary.name).write_text(canary.text + "\n")
    return [
        *ours,
        plain("API token", env["HCLOUD_TOKEN"]),
        plain("S3 key", env["PGPROVISION_LAB_S3_KEY"]),
        plain("S3 secret", env["PGPROVISION_LAB_S3_SECRET"]),
        key("CA key", secrets / "ca.key", 2),
        key("login key", secrets / "id_ed25519", 4),
    ]


def live(hunt: Hunt) -> None:
    """From nothing to a replica, day two, and what goes wrong meanwhile."""
    person = hunt.person
    assert hunt.run("plan").code == 1
    assert hunt.run("explain").code in (0, 1)
    assert hunt.run("up", "primary", "--yes", kill="25:after").code == KILLED
    _ended_well(hunt.run("up", "primary", "--yes"))
    _ended_well(hunt.run("add-replica", SECOND, "--yes"))
    with _locked(person):
        assert hunt.run("rotate", "rails", "--yes").code == 5
    _ended_well(hunt.run("rotate", "rails", "--yes"))
    _rotated(hunt, "rails.password")
    assert hunt.run("rotate", "replicator", "--yes", kill="1:after").code == KILLED
    _ended_well(hunt.run("rotate", "replicator", "--yes"))
    _rotated(hunt, "replicator.password")
    person.rewrite("cluster.yml", {"log_min_duration_statement: 500ms": "work_mem: 8MB"})
    new = made("reporting.password")
    hunt.canaries.append(new)
    (person.inventory / "secrets" / new.name).write_text(new.text + "\n")
    for node in (FIRST, SECOND):
        hunt.shadow[node] = _plant(hunt, node)
        person.shell(node, "rm /etc/pgbackrest/pgbackrest.conf")
    _ended_well(hunt.run("up", "--yes", "--json"))
    for words in (("drift",), ("status", "--json"), ("runs", "show", "latest"), ("explain",)):
        _ended_well(hunt.run(*words))


def _rotated(hunt: Hunt, name: str) -> None:
    text = (hunt.person.inventory / "secrets" / name).read_text().strip()
    hunt.canaries.append(plain(f"{name}, rotated", text))


def _plant(hunt: Hunt, node: str) -> bytes:
    """A plain user is first at every path below a folder of everybody's that anything was started
    with, and at the ones that PostgreSQL's world is known for; what they lead to."""
    seen = re.findall(rb"(?:/tmp|/var/tmp|/dev/shm|/run/lock)/[\w./-]+", hunt.argv)
    known = [f"{folder}/{name}" for folder in SHARED for name in ("pgbackrest", "pgprovision")]
    paths = {*known, *(path.decode() for path in seen)}
    links = "".join(f"ln -s /etc/shadow {path} 2>&-\n" for path in sorted(paths))
    as_nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups sh"
    hunt.person.shell(node, f"rm -rf /tmp/pgbackrest; {as_nobody}", f"{links}:\n")
    assert hunt.told(node, "readlink /tmp/pgbackrest /dev/shm/pgprovision").split() == [SHADOW] * 2
    return hunt.told(node, STATE_OF_SHADOW)


def _ended_well(run: Run) -> None:
    assert run.code == 0, run.out + run.err


@contextmanager
def _agent(person: Hunted) -> Iterator[None]:
    """An SSH agent with the person's key in it."""
    socket = str(person.home / "agent")
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as agent:
        try:
            identity = person.inventory / "secrets/id_ed25519"
            while not Path(socket).exists():
                time.sleep(0.01)
            subprocess.run(["ssh-add", "-q", identity], env=person.environment, check=True)
            yield
        finally:
            agent.terminate()


@contextmanager
def _watched(hunt: Hunt) -> Iterator[None]:
    """See tests/support/process_tracer.py."""
    words = [hunt.person.lab.name, str(hunt.folder), str(os.getpid()), FIRST, SECOND]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.process_tracer", *words], cwd=CHECKOUT
    ) as watch:
        try:
            while not (hunt.folder / "ready").exists():
                assert watch.poll() is None
                time.sleep(0.01)
            yield
        finally:
            watch.send_signal(signal.SIGTERM)


@contextmanager
def _statements(hunt: Hunt) -> Iterator[None]:
    """What the servers say is being asked of them, again and again; and at the end, ever."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.2):
            for node in (FIRST, SECOND):
                with suppress(LabError, subprocess.TimeoutExpired):
                    told = hunt.person.console(node, PSQL, ACTIVITY).stdout.encode()
                    hunt.statements[node] = hunt.statements.get(node, b"") + told
                    hunt.agents += hunt.person.console(node, AGENTS).stdout

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        over.set()
        asking.join()
        for node in (FIRST, SECOND):
            with suppress(LabError):  # what ended early has an error of its own to tell
                told = hunt.person.console(node, f"{PSQL} -d hcb_production", EVER).stdout
                hunt.statements[f"ever, {node}"] = told.encode()


@contextmanager
def _locked(person: Person) -> Iterator[None]:
    """A session that changes the role and does not commit: a statement of ours fails."""
    words = person.lab.shell(FIRST, ["sh", "-c", f"cd /; {PSQL}"])
    with subprocess.Popen(words, stdin=subprocess.PIPE, text=True) as session:
        assert session.stdin
        session.stdin.write("begin; alter role rails connection limit 499;\n")
        session.stdin.flush()
        idle = "select count(*) from pg_stat_activity where state = 'idle in transaction'"
        assert wait_until(lambda: person.sql(FIRST, idle) == "1", seconds=10)
        yield
        session.stdin.close()


def confess(hunt: Hunt) -> None:
    """A control that is let out on purpose, wherever a secret is searched: it has to be found."""
    secret = CONTROL.core
    for node in (FIRST, SECOND):
        hunt.person.shell(
            node,
            f"systemd-run -q --wait --setenv=CONTROL={secret} sh -c ': {secret}'\n"
            f"echo {secret} | tee /root/.bash_history >/tmp/pgp-control\n"
            f"echo {secret} >>/var/log/pgbackrest/control.log\n"
            f"echo {secret} >>/var/lib/pgprovision/runs/control.jsonl\n"
            f"echo {secret} | bash -c 'cat >/dev/tcp/10.0.1.2/22'\n"
            f"{PSQL} -d hcb_production -c \"select '{secret}', pg_sleep(1)\""
            f" -c \"select '{secret}', error\"; :",
            fails=True,
        )


AGENTS = "find /tmp /run -maxdepth 2 -name 'agent.*' 2>/dev/null"
ASSERTED = {  # the programme's ids of what is shown by searching a sink
    "argv": ["S1"],
    "environment": ["S2", "S14"],
    "journal": ["S3"],
    "server logs": ["S4"],
    "pg_stat_activity": ["S5"],
    "pg_stat_statements": ["S5"],
    "disk": ["S6", "S14"],
    "standard output": ["S7"],
    "standard error": ["S7"],
    "controller's state": ["S7"],
    "readable record": ["S7"],
    "record on the host": ["S7"],
    "crash reports": ["S8"],
    "wire": ["S9"],
    "histories": ["S10"],
    "temporary files": ["S11"],
    "user data": ["S13"],
}
SINKS = tuple(ASSERTED)


def searched(hunt: Hunt) -> Mapping[str, bytes]:
    """All there is to search, by the kind of place."""
    person, watched = hunt.person, hunt.folder
    state = person.home / ".local"
    on_hosts = {
        "journal": "journalctl -a -q -o export",
        "server logs": "find /var/log -type f ! -path '*/journal/*' -exec cat {} +",
        "record on the host": "cat /var/lib/pgprovision/runs/*",
        "histories": HISTORIES,
        "temporary files": "find /tmp /var/tmp /dev/shm /run -xdev -type f -size -9M"
        " ! -path '/run/log/*' ! -path '/run/cloud-init/*' -exec cat {} +",
        "user data": "cat /var/lib/cloud/instance/user-data.txt*",
    }
    found = {name: b"\n".join(hunt.told(node, text) for node in (FIRST, SECOND))
             for name, text in on_hosts.items()}  # fmt: skip
    return found | {
        "argv": hunt.argv,
        "environment": (watched / "environ").read_bytes(),
        "pg_stat_activity": b"".join(hunt.statements[node] for node in (FIRST, SECOND)),
        "pg_stat_statements": b"".join(hunt.statements[f"ever, {n}"] for n in (FIRST, SECOND)),
        "disk": b"\n".join(_strays(hunt, node) for node in (FIRST, SECOND)),
        "standard output": "\n".join(run.out for run in hunt.runs).encode(),
        "standard error": "\n".join(run.err for run in hunt.runs).encode(),
        "controller's state": below(state),
        "readable record": b"\n".join(path.read_bytes() for path in state.rglob("*.txt")),
        "crash reports": below(person.home / "tmp"),
        "wire": b"\n".join(below(watched / f"wire-{node}") for node in (FIRST, SECOND)),
    }


def _strays(hunt: Hunt, node: str) -> bytes:
    """What is in the files that should not hold a secret and do."""
    files = sorted(hunt.found(node, EVERYWHERE) - PUBLISHED[node])
    return hunt.told(node, "cat /dev/null " + " ".join(files))
