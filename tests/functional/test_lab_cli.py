"""`pgprovision lab` as a person types it."""

import subprocess
import sys
from pathlib import Path

import pytest

from pgprovision.lab.manager import Lab

pytestmark = pytest.mark.lab

CLI = [sys.executable, "-c", "from pgprovision.cli.lab import app; app(prog_name='lab')"]


def run(*words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run([*before, *CLI, *words], capture_output=True, text=True, cwd=root)


def test_status_when_up_lists_every_process(lab: Lab) -> None:
    shown = run("status", "--name", lab.name).stdout
    assert f"lab {lab.name}: running" in shown
    for service in lab.services():
        assert str(service.pid) in shown
        assert service.purpose in shown


def test_env_when_sourced_by_a_shell_has_what_clients_need(lab: Lab) -> None:
    exports = run("env", "--name", lab.name).stdout
    variables = subprocess.run(
        ["sh", "-c", f"{exports}\nenv"], capture_output=True, text=True
    ).stdout
    for key, value in lab.env().items():
        assert f"{key}={value}\n" in variables


def test_lab_when_unknown_is_bad_input(lab: Lab) -> None:
    for verb in (["status"], ["env"], ["down"], ["ssh", "somebody"]):
        done = run(*verb, "--name", "nobody-made-this")
        assert done.returncode == 2
        assert "there is no lab 'nobody-made-this'" in done.stderr


def test_name_when_it_cannot_be_one_is_bad_input(lab: Lab) -> None:
    assert run("status", "--name", "../demo").returncode == 2


def test_server_when_unknown_is_bad_input(lab: Lab) -> None:
    done = run("ssh", "--name", lab.name, "nobody", "--", "true")
    assert done.returncode == 2
    assert "has no server 'nobody'" in done.stderr


def test_lab_when_not_root_refuses_in_one_line(lab: Lab) -> None:
    done = run("up", "--name", "never", before=("unshare", "--user"))
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "needs root" in done.stderr


def test_packages_when_missing_and_no_terminal_are_named_and_not_installed(lab: Lab) -> None:
    done = run("up", "--name", "never", before=("env", "PATH=/nonexistent"))
    assert done.returncode == 3
    assert "mmdebstrap           builds their image" in done.stdout
    assert "--yes" in done.stderr
