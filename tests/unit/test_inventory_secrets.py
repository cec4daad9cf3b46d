"""`!env`, `!file`, `!command`, and the secrets that are made."""

import stat
import subprocess
from pathlib import Path

import pytest

from pgprovision.errors import InventoryError
from pgprovision.inventory.edit.secrets import generate_secrets, missing_secrets
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.problems import BadInventory
from tests.support.inventory_folders import (
    HETZNER_CLUSTER,
    STATIC_CLUSTER,
    STATIC_PRIMARY,
    InventoryFolder,
    hetzner_inventory,
    static_inventory,
)

RAILS = "!file secrets/rails.password"


def test_environment_gives_secrets_and_plain_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_PASSWORD", "from-the-environment")
    monkeypatch.setenv("TEST_CLUSTER", "hcb-env")
    monkeypatch.setenv("TEST_PORT", "5433")
    cluster = STATIC_CLUSTER.replace(RAILS, "!env TEST_PASSWORD").replace(
        "hcb-lab", "!env TEST_CLUSTER"
    )
    inventory = static_inventory(tmp_path, cluster + "postgres: {port: !env TEST_PORT}\n").load()
    password = inventory.roles["rails"].password
    assert password is not None
    assert (password.text(), password.source) == ("from-the-environment", "!env TEST_PASSWORD")
    assert (inventory.cluster, inventory.postgres.port) == ("hcb-env", 5433)


def test_environment_when_unset_or_empty_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = static_inventory(tmp_path, STATIC_CLUSTER.replace(RAILS, "!env TEST_PASSWORD"))
    expected = (
        "cluster.yml:3:21: roles.rails.password: the environment variable TEST_PASSWORD is not "
        "set (or empty); expected `export TEST_PASSWORD=...` before the command"
    )
    monkeypatch.delenv("TEST_PASSWORD", raising=False)
    assert folder.only_problem() == expected
    monkeypatch.setenv("TEST_PASSWORD", "")
    assert folder.only_problem() == expected


@pytest.mark.parametrize("text", ["$CLUSTER", "${CLUSTER}", "'${CLUSTER}'"])
def test_variable_of_a_shell_s_is_not_expanded_but_explained(tmp_path: Path, text: str) -> None:
    assert static_inventory(tmp_path, STATIC_CLUSTER.replace("hcb-lab", text)).only_problem() == (
        "cluster.yml:1:10: cluster: not expanded; expected !env CLUSTER"
    )


def test_environment_when_unset_takes_the_default(tmp_path: Path) -> None:
    default = "!env {name: TEST_NONE_SUCH, default: hcb-default}"
    assert (
        static_inventory(tmp_path, STATIC_CLUSTER.replace("hcb-lab", default)).load().cluster
        == "hcb-default"
    )


def test_clear_text_where_a_secret_is_required_is_refused_and_not_shown(tmp_path: Path) -> None:
    problem = static_inventory(
        tmp_path, STATIC_CLUSTER.replace(RAILS, "hunter2hunter2")
    ).only_problem()
    assert problem == (
        "cluster.yml:3:21: roles.rails.password: ***: a secret in clear text; expected "
        "!file secrets/NAME, !env NAME or !command [...]"
    )


def test_secret_file_loses_exactly_one_newline(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path)
    folder.write("secrets/rails.password", " with spaces \n")
    password = folder.load().roles["rails"].password
    assert password is not None
    assert password.text() == " with spaces "
    folder.write("secrets/rails.password", "two newlines\n\n")
    assert "expected a secret of one line" in folder.only_problem()


def test_secret_file_when_others_can_read_it_is_refused(tmp_path: Path) -> None:
    folder = static_inventory(tmp_path)
    path = tmp_path / "secrets/rails.password"
    path.chmod(0o640)
    assert folder.only_problem() == (
        f"cluster.yml:3:21: roles.rails.password: others can read {path}; run `chmod 600 {path}`"
    )


def test_command_gives_its_output_and_no_shell_is_in_between(tmp_path: Path) -> None:
    command = "!command [echo, $HOME; echo]"
    password = (
        static_inventory(tmp_path, STATIC_CLUSTER.replace(RAILS, command))
        .load()
        .roles["rails"]
        .password
    )
    assert password is not None
    assert password.text() == "$HOME; echo"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("[false]", "false ended with exit code 1; expected 0"),
        ("[no-such-program]", "no-such-program: No such file or directory"),
        ("echo x", "expected !command [PROGRAM, ARGUMENT, ...]"),
        ("[]", "expected !command [PROGRAM, ARGUMENT, ...]"),
    ],
)
def test_command_that_fails_is_named(tmp_path: Path, command: str, expected: str) -> None:
    folder = static_inventory(tmp_path, STATIC_CLUSTER.replace(RAILS, f"!command {command}"))
    assert expected in folder.only_problem()


def test_missing_secrets_are_all_named_with_the_command_that_makes_them(tmp_path: Path) -> None:
    folder = InventoryFolder(tmp_path)
    folder.write("cluster.yml", STATIC_CLUSTER)
    folder.write("nodes/db-1.yml", STATIC_PRIMARY)
    with pytest.raises(BadInventory) as caught:
        load(tmp_path)
    names = ("rails.password", "replicator.password", "ca.key", "ca.crt")
    for name in names:
        assert f"no file {tmp_path}/secrets/{name}; `secrets init` makes it" in str(caught.value)
    assert caught.value.next == f"pgprovision -i {tmp_path} secrets init"
    assert {path.name for path in missing_secrets(tmp_path)} == set(names)


def test_missing_secret_that_is_not_ours_to_make_is_left_to_its_owner(tmp_path: Path) -> None:
    folder = hetzner_inventory(
        tmp_path, HETZNER_CLUSTER.replace("!file token", "!file secrets/token")
    )
    assert folder.only_problem().endswith(f"no file {tmp_path}/secrets/token")
    assert missing_secrets(tmp_path) == ()


def test_made_secrets_are_private_strong_and_never_made_again(tmp_path: Path) -> None:
    folder = hetzner_inventory(tmp_path)
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert (tmp_path / "secrets/.gitignore").read_text() == "*\n"
    password = tmp_path / "secrets/replicator.password"
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert len(password.read_text().strip()) == 43
    before = {path: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
    assert generate_secrets(tmp_path) == ()
    assert before == {path: path.read_bytes() for path in (tmp_path / "secrets").iterdir()}
    assert folder.problems() == []


def test_made_ssh_keys_are_a_pair_openssh_reads(tmp_path: Path) -> None:
    folder = hetzner_inventory(tmp_path)
    public = (tmp_path / "secrets/id_ed25519.pub").read_text()
    shown = subprocess.run(
        ["ssh-keygen", "-y", "-f", tmp_path / "secrets/id_ed25519"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.split()[:2] == public.split()[:2]
    hetzner = folder.load().hetzner
    assert hetzner is not None
    assert hetzner.ssh_keys[0].public_key == public.strip()
    (tmp_path / "secrets/id_ed25519.pub").unlink()
    assert generate_secrets(tmp_path) == (tmp_path / "secrets/id_ed25519.pub",)
    assert (tmp_path / "secrets/id_ed25519.pub").read_text() == public


def test_authority_when_half_of_it_is_missing_is_not_created_again(tmp_path: Path) -> None:
    static_inventory(tmp_path)
    (tmp_path / "secrets/ca.key").unlink()
    with pytest.raises(InventoryError, match="belong together"):
        generate_secrets(tmp_path)
