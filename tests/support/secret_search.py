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
from tests.support.canary_secrets import (
    Canary,
    folder_content,
    known_secret,
    new_password,
    patterns,
    private_key,
)
from tests.support.cli_user import CHECKOUT, CliUser, CommandResult

FIRST, SECOND = "canary-1", "canary-2"
KILLED = -9
EXPECTED_FILES = {
    FIRST: {"/etc/pgbackrest/pgbackrest.conf"},
    SECOND: {"/etc/pgbackrest/pgbackrest.conf", "/etc/pgprovision/replication.pgpass"},
}
EVERYWHERE = "/ --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev"
PSQL = "runuser -u postgres -- psql -XAtq"
ACTIVITY_QUERY = "select query from pg_stat_activity where pid <> pg_backend_pid()"
STATEMENTS_QUERY = "select query from pg_stat_statements"
SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/run/lock")
SHADOW_FILE = b"/etc/shadow"
STATE_OF_SHADOW = "sha256sum /etc/shadow; stat -c '%a %U %G' /etc/shadow"
CONTROL_CANARY = new_password("control")
HISTORY_SCRIPT = "cat /root/.*_history /home/*/.*_history ~postgres/.*_history"


@dataclass(frozen=True)
class SearchedUser(CliUser):
    """A person with an SSH agent that everybody may use, and a folder of temporary files."""

    @property
    def environment(self) -> dict[str, str]:
        own = {"SSH_AUTH_SOCK": str(self.home / "agent"), "TMPDIR": str(self.home / "tmp")}
        return {**super().environment, **own}


@dataclass
class SecretSearch:
    """What was done, and everything it left to be searched."""

    user: SearchedUser
    folder: Path
    canaries: list[Canary] = field(default_factory=list)
    runs: list[CommandResult] = field(default_factory=list)
    statements: dict[str, bytes] = field(default_factory=dict)
    shadow: dict[str, bytes] = field(default_factory=dict)
    agents: str = ""  # sockets of forwarded agents that were ever there

    def run(self, *words: str, kill: str = "") -> CommandResult:
        run = self.user.run(*words, kill=kill)
        self.runs.append(run)
        return run

    def files_with_canary(self, node: str, where: str, options: str = "-r") -> set[str]:
        """Files of a machine with a canary in them, in any spelling."""
        search = f"grep {options} -laFf - {where}"
        output = self.user.shell(node, search, patterns(self.canaries), fails=True)
        return {line for line in output.splitlines() if line.startswith("/")}

    @property
    def processes(self) -> int:
        """How many programs were started while we watched."""
        return int((self.folder / "execs").read_text())

    @property
    def argv(self) -> bytes:
        return (self.folder / "cmdline").read_bytes()

    def output_of(self, node: str, command: str) -> bytes:
        """What a command as root on a machine printed, in whatever encoding."""
        words = self.user.lab.shell(node, ["sh", "-c", f"cd /\n{command}"])
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True).stdout.strip()


@contextmanager
def searching(person: SearchedUser, folder: Path) -> Iterator[SecretSearch]:
    """While this lasts, every process, wire and statement is written down."""
    search = SecretSearch(person, folder, _canaries(person))
    with _agent(person), _process_tracer(search), _statements(search):
        yield search


def _canaries(person: CliUser) -> list[Canary]:
    """Nine; three more are made on day two."""
    secrets, env = person.inventory / "secrets", person.lab.env()
    passwords = ("rails.password", "reporting.password", "replicator.password")
    ours = [new_password(name) for name in (*passwords, "pgbackrest.passphrase")]
    for canary in ours:
        (secrets / canary.name).write_text(canary.text + "\n")
    return [
        *ours,
        known_secret("API token", env["HCLOUD_TOKEN"]),
        known_secret("S3 key", env["PGPROVISION_LAB_S3_KEY"]),
        known_secret("S3 secret", env["PGPROVISION_LAB_S3_SECRET"]),
        private_key("CA key", secrets / "ca.key", 2),
        private_key("login key", secrets / "id_ed25519", 4),
    ]


def run_scenario(search: SecretSearch) -> None:
    """From nothing to a replica, day two, and what goes wrong meanwhile."""
    person = search.user
    assert search.run("plan").code == 1
    assert search.run("explain").code in (0, 1)
    assert search.run("up", "primary", "--yes", kill="25:after").code == KILLED
    _assert_success(search.run("up", "primary", "--yes"))
    _assert_success(search.run("add-replica", SECOND, "--yes"))
    with _open_transaction(person):
        assert search.run("rotate", "rails", "--yes").code == 5
    _assert_success(search.run("rotate", "rails", "--yes"))
    _rotated(search, "rails.password")
    assert search.run("rotate", "replicator", "--yes", kill="1:after").code == KILLED
    _assert_success(search.run("rotate", "replicator", "--yes"))
    _rotated(search, "replicator.password")
    person.rewrite("cluster.yml", {"log_min_duration_statement: 500ms": "work_mem: 8MB"})
    canary = new_password("reporting.password")
    search.canaries.append(canary)
    (person.inventory / "secrets" / canary.name).write_text(canary.text + "\n")
    for node in (FIRST, SECOND):
        search.shadow[node] = _plant_symlinks(search, node)
        person.shell(node, "rm /etc/pgbackrest/pgbackrest.conf")
    _assert_success(search.run("up", "--yes", "--json"))
    for words in (("drift",), ("status", "--json"), ("runs", "show", "latest"), ("explain",)):
        _assert_success(search.run(*words))


def _rotated(search: SecretSearch, name: str) -> None:
    text = (search.user.inventory / "secrets" / name).read_text().strip()
    search.canaries.append(known_secret(f"{name}, rotated", text))


def _plant_symlinks(search: SecretSearch, node: str) -> bytes:
    """A plain user is first at every path below a folder of everybody's that anything was started
    with, and at the ones that PostgreSQL's world is known for; what they lead to."""
    used_paths = re.findall(rb"(?:/tmp|/var/tmp|/dev/shm|/run/lock)/[\w./-]+", search.argv)
    known = [f"{folder}/{name}" for folder in SHARED for name in ("pgbackrest", "pgprovision")]
    paths = {*known, *(path.decode() for path in used_paths)}
    links = "".join(f"ln -s /etc/shadow {path} 2>&-\n" for path in sorted(paths))
    as_nobody = "setpriv --reuid=nobody --regid=nogroup --clear-groups sh"
    search.user.shell(node, f"rm -rf /tmp/pgbackrest; {as_nobody}", f"{links}:\n")
    assert (
        search.output_of(node, "readlink /tmp/pgbackrest /dev/shm/pgprovision").split()
        == [SHADOW_FILE] * 2
    )
    return search.output_of(node, STATE_OF_SHADOW)


def _assert_success(run: CommandResult) -> None:
    assert run.code == 0, run.out + run.err


@contextmanager
def _agent(person: SearchedUser) -> Iterator[None]:
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
def _process_tracer(search: SecretSearch) -> Iterator[None]:
    """See tests/support/process_tracer.py."""
    arguments = [search.user.lab.name, str(search.folder), str(os.getpid()), FIRST, SECOND]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.process_tracer", *arguments], cwd=CHECKOUT
    ) as tracer:
        try:
            while not (search.folder / "ready").exists():
                assert tracer.poll() is None
                time.sleep(0.01)
            yield
        finally:
            tracer.send_signal(signal.SIGTERM)


@contextmanager
def _statements(search: SecretSearch) -> Iterator[None]:
    """What the servers say is being asked of them, again and again; and at the end, ever."""
    over = threading.Event()

    def sample() -> None:
        while not over.wait(0.2):
            for node in (FIRST, SECOND):
                with suppress(LabError, subprocess.TimeoutExpired):
                    output = search.user.console(node, PSQL, ACTIVITY_QUERY).stdout.encode()
                    search.statements[node] = search.statements.get(node, b"") + output
                    search.agents += search.user.console(node, FIND_AGENTS).stdout

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield
    finally:
        over.set()
        sampler.join()
        for node in (FIRST, SECOND):
            with suppress(LabError):  # what ended early has an error of its own to tell
                statements = search.user.console(
                    node, f"{PSQL} -d hcb_production", STATEMENTS_QUERY
                ).stdout
                search.statements[f"ever, {node}"] = statements.encode()


@contextmanager
def _open_transaction(person: CliUser) -> Iterator[None]:
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


def leak_control(search: SecretSearch) -> None:
    """A control that is let out on purpose, wherever a secret is searched: it has to be found."""
    secret = CONTROL_CANARY.core
    for node in (FIRST, SECOND):
        search.user.shell(
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


FIND_AGENTS = "find /tmp /run -maxdepth 2 -name 'agent.*' 2>/dev/null"
ASSERTION_IDS = {  # the programme's ids of what is shown by searching a sink
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
SINKS = tuple(ASSERTION_IDS)


def search_sinks(search: SecretSearch) -> Mapping[str, bytes]:
    """All there is to search, by the kind of place."""
    person, trace_folder = search.user, search.folder
    state = person.home / ".local"
    on_hosts = {
        "journal": "journalctl -a -q -o export",
        "server logs": "find /var/log -type f ! -path '*/journal/*' -exec cat {} +",
        "record on the host": "cat /var/lib/pgprovision/runs/*",
        "histories": HISTORY_SCRIPT,
        "temporary files": "find /tmp /var/tmp /dev/shm /run -xdev -type f -size -9M"
        " ! -path '/run/log/*' ! -path '/run/cloud-init/*' -exec cat {} +",
        "user data": "cat /var/lib/cloud/instance/user-data.txt*",
    }
    on_host_content = {name: b"\n".join(search.output_of(node, text) for node in (FIRST, SECOND))
             for name, text in on_hosts.items()}  # fmt: skip
    return on_host_content | {
        "argv": search.argv,
        "environment": (trace_folder / "environ").read_bytes(),
        "pg_stat_activity": b"".join(search.statements[node] for node in (FIRST, SECOND)),
        "pg_stat_statements": b"".join(search.statements[f"ever, {n}"] for n in (FIRST, SECOND)),
        "disk": b"\n".join(_unexpected_content(search, node) for node in (FIRST, SECOND)),
        "standard output": "\n".join(run.out for run in search.runs).encode(),
        "standard error": "\n".join(run.err for run in search.runs).encode(),
        "controller's state": folder_content(state),
        "readable record": b"\n".join(path.read_bytes() for path in state.rglob("*.txt")),
        "crash reports": folder_content(person.home / "tmp"),
        "wire": b"\n".join(
            folder_content(trace_folder / f"wire-{node}") for node in (FIRST, SECOND)
        ),
    }


def _unexpected_content(search: SecretSearch, node: str) -> bytes:
    """What is in the files that should not hold a secret and do."""
    files = sorted(search.files_with_canary(node, EVERYWHERE) - EXPECTED_FILES[node])
    return search.output_of(node, "cat /dev/null " + " ".join(files))
