"""References of an inventory: resolved once, to a Secret from the first byte, named and never
shown."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from pgprovision.cli.app import run
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.edit.secrets import generate_secrets
from pgprovision.inventory.loader.loader import load, read_documents
from pgprovision.inventory.problems import BadInventory
from pgprovision.inventory.reference import Reference
from pgprovision.inventory.resolver import Resolver
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.operations.rotate_passphrase import next_step, swap_step
from tests.support.inventory_folders import (
    STATIC_CLUSTER,
    STATIC_PRIMARY,
    InventoryFolder,
    static_inventory,
)

CANARY = "canary-7d1f-canary"
NOW = datetime(2026, 11, 29, 7, 0, tzinfo=UTC)
CLOSED = "ssh: {port: 1}\n"  # a port of this machine where nothing listens
BACKUP = """\
backup:
  repository: {bucket: hcb-backups, endpoint: s3.example.org, region: lab, path: /hcb-lab,
    key: !env STORE_KEY, key_secret: !file key_secret}
"""
COPY = NewNode(name="copy-1", role="copy", private_ip="10.0.1.8", address="192.0.2.8")


@dataclass(frozen=True)
class CountingCommand:
    """A `!command` that counts how often it ran."""

    count_file: Path
    output: str = CANARY

    @property
    def yaml(self) -> str:
        script = f"echo ran >>{self.count_file}; echo {self.output}"
        return f"!command [sh, -c, '{script}']"

    @property
    def runs(self) -> int:
        return len(self.count_file.read_text().splitlines()) if self.count_file.exists() else 0


@pytest.fixture
def command(tmp_path: Path) -> CountingCommand:
    return CountingCommand(tmp_path / "count")


@pytest.fixture
def folder(
    tmp_path: Path, command: CountingCommand, monkeypatch: pytest.MonkeyPatch
) -> InventoryFolder:
    """An inventory of a host that nobody reaches; a role's password comes from the command."""
    monkeypatch.setenv("STORE_KEY", "key-of-the-store")
    cluster = STATIC_CLUSTER.replace("!file secrets/rails.password", command.yaml)
    primary = STATIC_PRIMARY.replace("192.0.2.2", "127.0.0.1")
    found = static_inventory(tmp_path / "inventory", cluster + CLOSED + BACKUP, primary)
    found.write("key_secret", "secret-of-the-store")
    generate_secrets(found.path)
    return found


class TestResolvedOnce:
    def test_command_when_loaded_runs_once(
        self, folder: InventoryFolder, command: CountingCommand
    ) -> None:
        folder.load()
        assert command.runs == 1

    def test_command_when_the_inventory_has_problems_runs_once(
        self, folder: InventoryFolder, command: CountingCommand
    ) -> None:
        text = (folder.path / "cluster.yml").read_text()
        folder.write("cluster.yml", f"{text}postgres: {{prot: 5433}}\nroles_of: {{}}\n")
        assert len(folder.problems()) == 2
        assert command.runs == 1

    def test_command_when_it_fails_runs_once(
        self, folder: InventoryFolder, command: CountingCommand
    ) -> None:
        text = (folder.path / "cluster.yml").read_text()
        folder.write("cluster.yml", text.replace(f"echo {CANARY}", "exit 3"))
        assert "sh ended with exit code 3; expected 0" in folder.only_problem()
        assert command.runs == 1

    def test_command_when_two_keys_name_it_runs_once(
        self, folder: InventoryFolder, command: CountingCommand
    ) -> None:
        text = (folder.path / "cluster.yml").read_text()
        folder.write("cluster.yml", text.replace("!env STORE_KEY", command.yaml))
        inventory = folder.load()
        password, backup = inventory.roles["rails"].password, inventory.backup
        assert password and backup and password == backup.repository.key
        assert command.runs == 1

    def test_command_when_a_node_is_added_runs_once(
        self, folder: InventoryFolder, command: CountingCommand
    ) -> None:
        new = NewNode(name="db-2", private_ip="10.0.1.3", address="192.0.2.3")
        added = add_node(folder.path, new)
        assert added.inventory.node("db-2").role == "replica"
        assert command.runs == 1
        assert added.inventory == folder.load()

    def test_command_when_a_copy_is_added_to_a_loaded_inventory_runs_once(
        self, folder: InventoryFolder, command: CountingCommand
    ) -> None:
        inventory = folder.load()
        for _ in range(2):  # again, nothing changes
            added = add_node(folder.path, COPY, inventory=inventory)
            inventory = added.inventory
        assert added.inventory.node("copy-1").is_copy
        assert command.runs == 1

    def test_command_when_the_passphrase_is_rotated_runs_once(
        self, folder: InventoryFolder, command: CountingCommand
    ) -> None:
        inventory = folder.load()
        step = next_step(inventory, NOW)
        assert step.pending
        step.pending.save()
        swapped = swap_step(load(folder.path, inventory.resolver), NOW).inventory
        assert swapped.backup and swapped.backup.second_repository
        passphrase = swapped.backup.repository.cipher_pass
        assert passphrase == step.pending.passphrase
        assert command.runs == 1

    def test_file_when_it_changes_is_read_by_the_next_load(self, folder: InventoryFolder) -> None:
        before = folder.load()
        folder.write("key_secret", "another-secret-of-the-store")
        after = folder.load()
        assert before.backup and after.backup
        assert before.backup.repository.key_secret != after.backup.repository.key_secret


VERBS = [
    ("plan",), ("plan", "--json"), ("drift",), ("up", "--yes"), ("explain",), ("status",),
    ("add-replica", "db-2", "--private-ip", "10.0.1.3", "--address", "127.0.0.2", "--yes"),
    ("restore", "--to", "copy-1", "--private-ip", "10.0.1.8", "--address", "127.0.0.3", "--yes"),
    ("restore", "plan"), ("backup", "list"), ("backup", "rotate-cipher", "--yes"),
    ("rotate", "rails"), ("remove-replica", "db-2", "--confirm", "db-2"), ("ca", "show"),
]  # fmt: skip


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_command_when_any_verb_runs_then_runs_once(
    folder: InventoryFolder,
    command: CountingCommand,
    words: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("sys.argv", ["pgprovision", "-i", str(folder.path), *words])
    assert run() == (0 if words == ("ca", "show") else 5)  # 5: nobody answers
    output = capfd.readouterr()
    assert "pgprovision-crash-" not in output.err
    assert CANARY not in output.out + output.err
    assert command.runs == 1


def field_error(folder: InventoryFolder) -> ValidationError:
    """pydantic's own error of an inventory."""
    document = read_documents(folder.path)
    context = {"folder": folder.path, "resolver": Resolver(folder.path)}
    with pytest.raises(ValidationError) as caught:
        Inventory.model_validate(document.value, context=context)
    return caught.value


BAD_SECRETS: list[tuple[str, str, str, str]] = [
    ("secrets/rails.password", f"{CANARY}\n{CANARY}", "password: ", "a secret of one line"),
    ("secrets/ca.key", CANARY, "ca_key: ", "a private key in PEM"),
    ("secrets/hook", CANARY, "webhook: ", "a URL that begins with https://"),
]


class TestNeverShown:
    @pytest.mark.parametrize(("file", "content", "key", "expected"), BAD_SECRETS)
    def test_bad_secret_when_validated_is_in_no_error(
        self, tmp_path: Path, file: str, content: str, key: str, expected: str
    ) -> None:
        backup = BACKUP.replace("!env STORE_KEY", "!file key_secret")
        watch = "  watch: {webhook: !file secrets/hook}\n"
        tls = "tls:\n  ca_key: !file secrets/ca.key\n"
        folder = static_inventory(tmp_path, STATIC_CLUSTER + backup + watch + tls)
        folder.write("key_secret", "secret-of-the-store")
        folder.write("secrets/hook", "https://hooks.example.org/x")
        folder.write("secrets/pgbackrest.passphrase", "p" * 43)
        folder.write(file, content)
        error = field_error(folder)
        shown = [str(error), repr(error.errors()), repr(error.__context__)]
        assert not any(CANARY in text for text in shown)
        assert all(isinstance(detail["input"], Reference) for detail in error.errors())
        problem = folder.only_problem()
        line, column = next(
            (number, text.index(f"{key}!file") + len(key) + 1)
            for number, text in enumerate((tmp_path / "cluster.yml").read_text().splitlines(), 1)
            if f"{key}!file {file}" in text
        )
        assert problem.startswith(f"cluster.yml:{line}:{column}: ")
        assert f"!file {file}: expected {expected}" in problem

    def test_document_when_read_has_references_and_no_secret(
        self, folder: InventoryFolder, command: CountingCommand
    ) -> None:
        folder.write("key_secret", CANARY)
        document = read_documents(folder.path)
        assert CANARY not in repr(document.value["backup"])
        assert command.runs == 0
        found = document.value["backup"]["repository"]["key_secret"]
        assert (found.tag, found.arguments, found.path) == (
            "!file", ("key_secret",), ("backup", "repository", "key_secret")
        )  # fmt: skip
        assert str(found.position) == f"{folder.path}/cluster.yml:9:38"

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("roles: {rails: {member_of: [!env CANARY]}}", "role <!env CANARY> is not declared"),
            ("ssh: {identity_file: !env CANARY}", "no readable file <!env CANARY>"),
            ("postgres: {settings: {work_memm: !env CANARY}}", "unknown setting (did you mean"),
            ("backup: !env CANARY", "expected a mapping of keys"),
            ("version: !env CANARY", "expected 1"),
            ("rols: !env CANARY", "unknown key"),
        ],
    )
    def test_value_when_it_is_plain_text_by_reference_is_not_shown(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, expected: str
    ) -> None:
        monkeypatch.setenv("CANARY", CANARY)
        folder = static_inventory(tmp_path, f"cluster: hcb-lab\n{line}\n")
        with pytest.raises(BadInventory) as caught:
            load(tmp_path)
        assert expected in str(caught.value)
        assert CANARY not in str(caught.value)
        assert folder.only_problem().startswith("cluster.yml:2:")

    def test_key_when_it_is_unknown_runs_no_command(
        self, tmp_path: Path, command: CountingCommand
    ) -> None:
        folder = static_inventory(tmp_path, STATIC_CLUSTER + f"rols: {command.yaml}\n")
        assert "unknown key" in folder.only_problem()
        assert command.runs == 0
