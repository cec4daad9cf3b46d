"""A person at a terminal, in a lab: an inventory, the command line, and a look behind it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from hcloud import Client

from pgprovision.lab.manager import Lab

CHECKOUT = Path(__file__).parents[2]
LAB_INVENTORY = CHECKOUT / "inventories" / "lab"
TOP_LEVEL_KEY = r"(?m)^{}:\n(?:[ #].*\n|\n)*"  # a top-level key of the inventory and all below it


@dataclass(frozen=True)
class CommandResult:
    """How a command ended. Code -9: killed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """What `--json` printed."""
        assert self.out, f"exit {self.code}: {self.err}"
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass(frozen=True)
class CliUser:
    """Somebody with a home of their own, in which the inventory is."""

    lab: Lab
    home: Path

    @property
    def inventory(self) -> Path:
        return self.home / "inventory"

    @property
    def environment(self) -> dict[str, str]:
        """The lab's, with nothing of this machine's user in it."""
        variables = {
            k: v for k, v in os.environ.items() if k not in ("SSH_AUTH_SOCK", "XDG_STATE_HOME")
        }
        return {**variables, **self.lab.env(), "HOME": str(self.home)}

    def run(self, *words: str, kill: str = "") -> CommandResult:
        """One command to its end. `kill` is a point of `transport.fault_points`."""
        with self.start(*words, kill=kill) as running:
            return wait_for(running)

    def start(self, *words: str, kill: str = "") -> "subprocess.Popen[str]":
        """One command, under way."""
        command = [sys.executable, "-m", "pgprovision.cli.app", "-i", str(self.inventory), *words]
        return subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env={**self.environment, "PGP_TEST_KILL": kill},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run_json(self, *words: str) -> dict[str, Any]:
        """One command that must end well; its JSON."""
        run = self.run(*words, "--json")
        assert run.code == 0, f"exit {run.code}: {run.err}\n{run.out}"
        return run.document

    def drift(self) -> dict[tuple[str, str, str], list[str]]:
        """What `drift` names: the differing keys by target, kind and name."""
        run = self.run("drift", "--json")
        document = run.document
        assert not document["failed"], document["failed"]
        named = {
            (c["target"], c["kind"], c["name"]): c["differing_keys"] for c in document["changes"]
        }
        named |= {(w["target"], w["kind"], w["name"]): ["waiting"] for w in document["in_progress"]}
        assert run.code == (1 if named else 0)
        return named

    def shell(self, node: str, text: str, stdin: str = "", *, fails: bool = False) -> str:
        """Shell text as root on a machine, through its console; what it printed."""
        completed = self.console(node, text, stdin)
        assert fails or completed.returncode == 0, completed.stdout + completed.stderr
        return (completed.stdout + (completed.stderr if fails else "")).strip()

    def console(self, node: str, text: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        words = self.lab.shell(node, ["sh", "-c", f"cd /\n{text}"])
        return subprocess.run(words, input=stdin, capture_output=True, text=True, timeout=120)

    def sql(self, node: str, query: str, database: str = "postgres") -> str:
        """A query as the superuser on a machine."""
        psql = f"runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d {database}"
        return self.shell(node, psql, query)

    def cloud(self) -> Client:
        env = self.lab.env()
        return Client(env["HCLOUD_TOKEN"], api_endpoint=env["HCLOUD_ENDPOINT"], poll_interval=0.1)

    def api_requests(self, method: str = "GET") -> dict[str, Any]:
        """What the API received: `writes`, `reads`, `requests`. DELETE starts again from 0."""
        config = self.lab.config
        url = f"http://{config.network.host_address}:{config.api_port}/_lab/requests"
        headers = {"Authorization": f"Bearer {config.control_token}"}
        answer = requests.request(method, url, headers=headers, timeout=10)
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document

    def secrets(self) -> dict[str, str]:
        """Every one-line secret of the inventory by its file's name."""
        names = ("rails.password", "replicator.password", "pgbackrest.passphrase")
        return {name: (self.inventory / "secrets" / name).read_text().strip() for name in names}

    def rewrite(self, file: str, changes: Mapping[str, str]) -> None:
        """Replaces patterns in a file of the inventory; each must be there."""
        path = self.inventory / file
        text = path.read_text()
        for pattern, new in changes.items():
            text, count = re.subn(pattern, new, text)
            assert count, f"{pattern} is not in {path}"
        path.write_text(text)


def wait_for(running: "subprocess.Popen[str]", seconds: float = 900) -> CommandResult:
    """The end of a command that was begun; a busy machine is no fault."""
    try:
        out, err = running.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        running.kill()
        raise
    return CommandResult(running.returncode, out, err)


def new_user(lab: Lab, home: Path, cluster: str = "hcb-lab") -> CliUser:
    """Somebody with a copy of the lab's inventory, renamed where it stands beside others."""
    person = CliUser(lab, home)
    shutil.copytree(LAB_INVENTORY, person.inventory, ignore=shutil.ignore_patterns("secrets"))
    if cluster != "hcb-lab":
        person.rewrite(
            "cluster.yml", {"hcb-lab": cluster, "hcb-(?=network|postgres|ssh)": f"{cluster}-"}
        )
        person.rewrite("cluster.yml", {r"extra_packages: \[.*\]": "extra_packages: []"})
        nodes = person.inventory / "nodes"
        (nodes / "server-postgres-1.yml").rename(nodes / f"{cluster}-1.yml")
    assert person.run("secrets", "init").code == 0
    return person


def file_states(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below, with its size and when it was last written."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): (f.stat().st_size, f.stat().st_mtime_ns) for f in files}
