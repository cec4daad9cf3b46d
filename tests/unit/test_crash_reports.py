"""S8: whichever function of ours breaks while it holds a secret, the crash report has none."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import pgprovision
from pgprovision.cli.app import _unexpected
from pgprovision.engine.model import Diff
from pgprovision.inventory.loader.loader import load
from pgprovision.resources.postgres.catalog import scram
from pgprovision.secret import Secret
from pgprovision.tasks import tiers
from pgprovision.transport import framing
from tests.support.canary_secrets import Canary, find_leaks, known_secret, new_password, private_key
from tests.support.inventory_folders import InventoryFolder, copy_inventory

OURS = str(Path(pgprovision.__file__).parent)
PASSWORDS = ("rails.password", "reporting.password", "replicator.password", "pgbackrest.passphrase")
S3 = "PGPROVISION_LAB_S3"
IN_ENVIRONMENT = (
    *("HCLOUD_TOKEN", f"{S3}_KEY", f"{S3}_SECRET", f"{S3}_READ_KEY", f"{S3}_READ_SECRET"),
)
Hook = Callable[[FrameType], None]


class Crash(Exception):
    """A fault of our own, raised together with the secrets that were at hand."""


@contextmanager
def at_each_end(hook: Hook) -> Iterator[None]:
    """Calls the hook before any function of ours returns."""

    def profile(frame: FrameType, event: str, value: Any) -> None:
        if event == "return" and frame.f_code.co_filename.startswith(OURS):
            hook(frame)

    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)


def values_of(frame: FrameType, canaries: list[Canary]) -> list[Secret | str | bytes]:
    """The secrets among a function's own values."""
    values = frame.f_locals.values()
    found: list[Secret | str | bytes] = [v for v in values if isinstance(v, Secret)]
    texts = (value for value in values if isinstance(value, str | bytes))
    for text in texts:
        content = text.encode(errors="surrogateescape") if isinstance(text, str) else text
        if find_leaks(canaries, {"": content}):
            found.append(text)
    return found


def work(inventory: Path) -> None:
    """What a run does with secrets, short of sending them."""
    loaded = load(inventory)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for tier in tiers(loaded, loaded.nodes, now):
        for resource in tier.resources:
            try:
                resource.probe()
                after = resource.desired()
                actions = tuple(resource.change(Diff(None, after)))
            except Crash:
                raise
            except Exception:  # it needs what only machines know
                continue
            contents = (
                a.stdin if isinstance(a.stdin, bytes) else a.stdin.reveal() for a in actions
            )
            steps = [framing.ShellStep(a.text, c) for a, c in zip(actions, contents, strict=True)]
            framing.encode(steps, framing.new_mark(), stop_on_failure=True)
    for role in loaded.roles.values():
        if role.password:
            stored = scram.verifier(role.password, b"0123456789abcdef", 64)
            assert scram.verifier_matches(role.password, stored)


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lab's, with a replica; its secrets are canaries."""
    path = copy_inventory("lab", tmp_path / "inventory", monkeypatch.setenv)
    InventoryFolder(path).write(
        "nodes/server-postgres-2.yml", "role: replica\nprivate_ip: 10.0.1.3\n"
    )
    return path


@pytest.fixture
def canaries(inventory: Path, monkeypatch: pytest.MonkeyPatch) -> list[Canary]:
    passwords = [new_password(name) for name in PASSWORDS]
    for canary in passwords:
        InventoryFolder(inventory).write(f"secrets/{canary.name}", canary.text + "\n")
    given = [known_secret(name, new_password(name).core) for name in IN_ENVIRONMENT]
    for canary in given:
        monkeypatch.setenv(canary.name, canary.text)
    return [*passwords, *given, private_key("CA key", inventory / "secrets/ca.key", 2)]


@pytest.mark.covers("S8")
def test_crash_report_when_any_function_with_a_secret_breaks_has_none(
    inventory: Path,
    canaries: list[Canary],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    functions: dict[CodeType, None] = {}

    def find(frame: FrameType) -> None:
        if frame.f_code not in functions and values_of(frame, canaries):
            functions[frame.f_code] = None

    with at_each_end(find):
        work(inventory)
    assert len(functions) >= 20
    for code in functions:
        if code.co_qualname.startswith("Secret."):
            continue  # who calls it is in the list
        crashed = _crash(inventory, code, canaries)
        assert _unexpected(crashed) == 5
    reports = {path.name: path.read_bytes() for path in tmp_path.glob("pgprovision-crash-*")}
    assert len(reports) >= 20
    assert all(b"Crash: " in report for report in reports.values())
    printed = capfd.readouterr()
    sinks = {**reports, "out": printed.out.encode(), "err": printed.err.encode()}
    assert find_leaks(canaries, sinks) == []


def _crash(inventory: Path, code: CodeType, canaries: list[Canary]) -> Exception:
    def strike(frame: FrameType) -> None:
        if frame.f_code is code and (found := values_of(frame, canaries)):
            raise Crash([v for v in found if isinstance(v, Secret)], code.co_qualname)

    try:
        with at_each_end(strike):
            work(inventory)
    except Exception as error:
        return error
    raise AssertionError(f"{code.co_qualname} did not break")
