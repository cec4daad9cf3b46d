"""pgbackrest.conf: what is written for which version, and what drift names."""

from dataclasses import replace

import pytest

from pgprovision.engine.model import Answer, Change, Diff
from pgprovision.errors import InventoryError
from pgprovision.inventory.schema.backup import S3Repository
from pgprovision.render import render
from pgprovision.resources.pgbackrest.configuration import PgbackrestConf, parse_options
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.secret import Secret

REPOSITORY = S3Repository(
    bucket="backups",
    endpoint="s3.example.net",
    region="fsn1",
    uri_style="path",
    key=Secret("KEYID"),
    key_secret=Secret("wJalrXUtn"),
    path="/lab",
)


def rendered(archive_queue_max: str | None = None) -> str:
    return render(
        "pgbackrest.conf.j2",
        repositories=[
            {"number": 1, "repository": REPOSITORY, "ca": "/etc/ca.crt", "retention_days": 30}
        ],
        stanza="main",
        instance=Instance(),
        start_fast=True,
        compress_type="zst",
        process_max=2,
        archive_queue_max=archive_queue_max,
    )


TEXT = rendered()
SECRETS = (
    ("repo1-s3-key", Secret("KEYID")),
    ("repo1-s3-key-secret", Secret("wJalrXUtn")),
    ("repo1-cipher-pass", Secret("correct horse")),
)
CONF = PgbackrestConf(on="db", stanza="main", text=TEXT, secrets=SECRETS, version=(2, 45))


def look(text: str, mode: str = "0640", owner: str = "postgres:postgres") -> Answer:
    return Answer(out=f"{mode} {owner}\n{text}".encode())


def differs(conf: PgbackrestConf, answer: Answer) -> tuple[str, ...]:
    return Diff(conf.read(answer), conf.desired()).keys


def written(conf: PgbackrestConf) -> str:
    return conf.content().text()


def test_options_when_rendered_are_those_of_the_runbook() -> None:
    found = parse_options(written(CONF))
    expected = {
        "repo1-type": "s3",
        "repo1-path": "/lab",
        "repo1-s3-uri-style": "path",
        "repo1-cipher-type": "aes-256-cbc",
        "repo1-storage-ca-file": "/etc/ca.crt",
        "repo1-retention-full-type": "time",
        "repo1-retention-full": "30",
        "repo1-bundle": "y",
        "start-fast": "y",
        "archive-async": "y",
        "compress-type": "zst",
        "[main] pg1-path": "/var/lib/postgresql/15/main",
    }
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("version", "bundle", "block"),
    [((2, 38), False, False), ((2, 45), True, False), ((2, 46), True, True), (None, True, True)],
)
def test_options_when_the_version_is_known_are_only_those_it_knows(
    version: tuple[int, ...] | None, bundle: bool, block: bool
) -> None:
    found = parse_options(written(replace(CONF, version=version)))
    assert ("repo1-bundle" in found, "repo1-block" in found) == (bundle, block)


def test_conf_when_written_differs_in_nothing() -> None:
    assert differs(CONF, look(written(CONF))) == ()


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("process-max=2", "process-max=4", "process-max"),
        ("start-fast=y\n", "", "start-fast"),
        ("wJalrXUtn", "other", "repo1-s3-key-secret"),
        ("correct horse", "other", "repo1-cipher-pass"),
        ("pg1-port=5432", "pg1-port=5433", "[main] pg1-port"),
        ("start-fast=y\n", "start-fast=y\nstart-fast=n\n", "start-fast"),
        ("[main]\n", "[main]\npg2-path=/x\n", "unmanaged options"),
    ],
)
def test_conf_when_one_option_moved_names_only_that(old: str, new: str, key: str) -> None:
    assert old in written(CONF)
    assert differs(CONF, look(written(CONF).replace(old, new))) == (key,)


def test_conf_when_only_the_mode_moved_is_not_written() -> None:
    diff = Diff(CONF.read(look(written(CONF), mode="0644")), CONF.desired())
    assert diff.keys == ("mode",)
    assert [action.stdin for action in CONF.change(diff)] == [b""]


def test_conf_when_comments_moved_differs_in_nothing() -> None:
    assert differs(CONF, look("# by hand\n\n" + written(CONF))) == ()


def test_secrets_when_shown_are_digests_and_masked() -> None:
    diff = Diff(CONF.read(look(written(CONF))), CONF.desired())
    actions = tuple(CONF.change(Diff(None, CONF.desired())))
    shown = f"{diff} {actions} {CONF}"
    redacted = Change(CONF, diff, actions).redacted
    for option, secret in SECRETS:
        assert secret.text() not in shown
        assert option in CONF.secret_keys
        assert (redacted.after or {})[option] == "***"


@pytest.mark.parametrize("text", ["", " x", "x\n[global]\nrepo1-path=/", "x\0"])
def test_secret_when_it_would_not_be_read_back_is_refused(text: str) -> None:
    with pytest.raises(InventoryError, match="repo1-s3-key must be one line"):
        replace(CONF, secrets=(("repo1-s3-key", Secret(text, "secrets.yml")),)).content()


@pytest.mark.covers("row:D2")
@pytest.mark.parametrize(
    ("version", "cipher", "warned"),
    [
        ((2, 45), "aes-256-cbc", True),
        ((2, 59, 2), "aes-256-cbc", True),
        ((2, 59, 3), "aes-256-cbc", False),
        ((2, 60), "aes-256-cbc", False),
        ((2, 45), "none", False),
        (None, "aes-256-cbc", False),
    ],
)
def test_encryption_when_the_version_has_weak_subkeys_is_noted(
    version: tuple[int, ...] | None, cipher: str, warned: bool
) -> None:
    notes = replace(CONF, version=version).notes({"repo1-cipher-type": cipher})
    assert ["fixed in 2.59.3" in text for text in notes] == [True] * warned


@pytest.mark.covers("row:D2")
def test_archive_queue_when_limited_is_written_and_its_loss_noted() -> None:
    conf = replace(CONF, text=rendered("16GB"), version=(2, 60))
    found = conf.read(look(written(conf)))
    assert found
    assert parse_options(written(conf))["archive-push-queue-max"] == "16GB"
    (note,) = conf.notes(found)
    assert "above 16GB (archive-push-queue-max), waiting WAL is dropped" in note
    assert "archive-push-queue-max" not in parse_options(written(CONF))
