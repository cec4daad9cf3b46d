"""The runbook that `explain` prints: it is run here with the shells a person may paste it into."""

import grp
import os
import pwd
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from pgprovision.engine.loop import converge, observe_only
from pgprovision.engine.model import (
    Action,
    Answer,
    Diff,
    Probe,
    Report,
    Resource,
    State,
    Tier,
    Waiting,
)
from pgprovision.explain import CloudApi, HostShell, runbook
from pgprovision.explain.text import secret_sources, secret_variable
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.loader.loader import load
from pgprovision.quote import sh
from pgprovision.resources.node.marker import IdentityMarker
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.system.file import Directory, File
from pgprovision.run.observers import RunObservers
from pgprovision.secret import Secret
from pgprovision.tasks import tiers
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.support import inventory_folders

SHELLS = ("sh", "bash")
ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}
gnu = pytest.mark.skipif(sys.platform != "linux", reason="resources speak GNU coreutils")
CONTENTS: Mapping[str, str | Secret] = {
    "plain": "one line\n",
    "several lines": "first\n\n  second\n",
    "no newline at the end": "# said\nno newline",
    "empty": "",
    "ends like a here-document": "EOF\nEOF_\nEOFF\n",
    "shell's characters": "$HOME `id` $(id) \\ \\\\ ! \"'\n",
    "a tab": "a\tb\n",
    "carriage returns": "a\r\nb\r\n",
    "control characters": "\0\x01\x1b[31m",
    "other scripts": "Füße, 数据库\n",
    "a secret": Secret("s3cr$et`'\"\\", "!file secrets/plain").embed_in("key={}\nhome=$HOME \\\n"),
    "a secret alone": Secret("alone", "!env ALONE"),
}
SECRETS = {"secret_plain": "s3cr$et`'\"\\", "secret_ALONE": "alone"}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
@gnu
def test_runbook_when_run_as_printed_then_nothing_differs(
    tmp_path: Path, content: str | Secret, shell: str
) -> None:
    planned_tiers = (
        Tier("folders", (Directory(on="controller", path=f"{tmp_path}/a b", mode="0750", **ME),)),
        Tier("files", (File(on="controller", path=f"{tmp_path}/a b/it's", content=content, **ME),)),
    )
    outcome = look(planned_tiers)
    assert len(outcome.remaining) == 2
    done = paste(shell, text_of(planned_tiers, outcome), SECRETS)
    assert (done.returncode, done.stderr) == (0, "")
    assert look(planned_tiers).remaining == []


@gnu
def test_secret_when_not_given_then_the_block_stops_and_the_rest_stays(tmp_path: Path) -> None:
    paths = [f"{tmp_path}/first", f"{tmp_path}/second"]
    contents = [CONTENTS["a secret"], "x\n"]
    files = (
        File(on="controller", path=p, content=c, **ME) for p, c in zip(paths, contents, strict=True)
    )
    planned_tiers = (Tier("files", tuple(files)),)
    done = paste("sh", text_of(planned_tiers, look(planned_tiers)), {})
    assert done.returncode == 1 and "secret_plain" in done.stderr and "stopped" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_block_when_a_step_fails_then_the_shell_it_was_pasted_into_goes_on(tmp_path: Path) -> None:
    never = tmp_path / "never"
    planned_tiers = (Tier("one", (Shell(texts=("cd /; umask 0; exit 7", f"touch {never}")),)),)
    done = paste("bash", f"{text_of(planned_tiers, look(planned_tiers))}\necho $?; umask; pwd", {})
    assert done.stdout.splitlines() == ["1", "0022", str(Path.cwd())]
    assert not never.exists()


def test_work_in_the_background_when_begun_then_its_end_is_awaited(tmp_path: Path) -> None:
    file = tmp_path / "file"
    begin = f"(sleep 0.2; echo > {file}) >/dev/null &"
    until = f"until [ -e {file} ]; do sleep 0.05; done"
    planned_tiers = (Tier("one", (Shell(texts=(begin,), until=until),)),)
    assert paste("sh", text_of(planned_tiers, look(planned_tiers)), {}).returncode == 0
    assert file.exists()


def test_runbook_when_nothing_differs_then_it_says_so() -> None:
    text = runbook("prod", (), Report(), {})
    assert text.strip() == "# Cluster prod: nothing differs, so there is nothing to do."


@pytest.mark.parametrize("differs", [True, False])
def test_runbook_when_something_is_worth_knowing_then_it_is_a_comment(differs: bool) -> None:
    planned_tiers = (Tier("one", (Shell(texts=(), there=True),)),) if differs else ()
    outcome = look(planned_tiers)
    outcome.notes = [(Shell(texts=()), "an upgrade is pending")]
    text = text_of(planned_tiers, outcome)
    assert "# worth knowing of controller: an upgrade is pending" in text.splitlines()


def test_runbook_when_a_host_failed_then_it_does_not_claim_that_nothing_differs() -> None:
    text = runbook("prod", (), Report(failed={"db-1": OSError("gone")}), {})
    assert "db-1 could not be probed" in text and "nothing differs" not in text


def test_difference_when_nothing_can_be_done_then_it_is_a_comment() -> None:
    planned_tiers = (Tier("one", (Shell(texts=(), there=True),)),)
    text = text_of(planned_tiers, look(planned_tiers))
    assert all(line.startswith("#") or not line for line in text.splitlines())
    assert "nothing is done about it" in text


def test_inventory_when_explained_whole_then_it_is_shell_without_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"HCLOUD_TOKEN": "canary-token", "PGPROVISION_LAB_S3_SECRET": "canary-s3"}
    folder = inventory_folders.lab_inventory(tmp_path / "inventory", monkeypatch.setenv)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    add_node(folder, NewNode(name="server-postgres-2"))
    inventory = load(folder)
    all_tiers = tiers(inventory, inventory.nodes, datetime.now(UTC))
    names = {resource.on for tier in all_tiers for resource in tier.resources}
    targets = {name: Nowhere(name) for name in names}
    outcome = converge(all_tiers, targets, observe_only, RunObservers())
    places = {
        name: CloudApi("http://x") if name == "hetzner" else HostShell("ssh") for name in names
    }
    text = runbook("hcb-lab", all_tiers, outcome, places)
    paths = [path for path in (folder / "secrets").iterdir() if path.suffix not in (".pub", ".crt")]
    secrets = [path.read_text().strip() for path in paths if path.is_file()]
    assert len(secrets) > 4
    assert [s for s in [*secrets, *environment.values()] if s in text and s != "*"] == []
    assert "SCRAM-SHA-256$" not in text
    for shell in SHELLS:
        assert subprocess.run([shell, "-n"], input=text.encode()).returncode == 0


def test_secrets_when_their_files_have_the_same_name_then_their_variables_differ() -> None:
    given = [
        "!file secrets/app.password",
        "!file other/app.password",
        "!env PASSWORD",
        "!command op read one/password",
        "!command op read two/password",
    ]
    names = [secret_variable(source) for source in given]
    assert names[0] == "secret_app_password"
    assert len(set(names)) == len(given)
    assert all(name.isidentifier() for name in names)


def test_secret_when_its_source_has_any_characters_then_it_is_still_a_variable() -> None:
    content = Secret("x", "!command sh -c 'head -1 <a>\nb'").embed_in("key={}\n")
    assert secret_sources(content.redacted) == ["!command sh -c 'head -1  a  b'"]


def test_marker_when_there_is_no_cluster_yet_then_it_is_only_planned() -> None:
    marker = IdentityMarker(on="db-1", cluster="prod", node="db-1", instance=Instance())
    (action,) = marker.change(Diff(None, marker.desired()))
    assert action.stdin == b"" and action.text.endswith("exit 1")


class Nowhere:
    """A target that does not exist yet."""

    def __init__(self, name: str) -> None:
        self.name = name

    def observe(self, probes: Sequence[Probe]) -> Mapping[Probe, Answer] | Waiting | None:
        return {probe: Answer() for probe in probes} if self.name == "hetzner" else None

    def act(self, actions: Sequence[Action], done: object) -> None:
        raise AssertionError("explain changes nothing")


@dataclass(frozen=True, kw_only=True)
class Shell(Resource):
    """Differs always; its actions are these texts."""

    kind: ClassVar[str] = "shell"
    on: str = "controller"
    texts: tuple[str, ...]
    until: str = ""
    there: bool = False

    @property
    def name(self) -> str:
        return "text"

    def probe(self) -> Probe:
        return Probe(":")

    def read(self, answer: Answer) -> State | None:
        return {"done": False} if self.there else None

    def desired(self) -> State:
        return {"done": True}

    def change(self, diff: Diff) -> Iterable[Action]:
        return (Action("do it", text, wait_command=self.until) for text in self.texts)


def look(planned_tiers: Sequence[Tier]) -> Report:
    return converge(
        planned_tiers,
        {"controller": Host("controller", LocalConnection)},
        observe_only,
        RunObservers(),
    )


def text_of(planned_tiers: Sequence[Tier], outcome: Report) -> str:
    return runbook("prod", planned_tiers, outcome, {"controller": HostShell("on this machine")})


def paste(shell: str, text: str, secrets: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """The text given to a shell that holds these variables, none of them exported."""
    given = "".join(f"{name}={sh(value)}\n" for name, value in secrets.items())
    return subprocess.run([shell, "-s"], input=given + text, text=True, capture_output=True)
