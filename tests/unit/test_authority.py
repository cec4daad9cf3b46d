"""A new certificate authority in three steps, as files of the inventory."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgprovision import tls
from pgprovision.errors import InventoryError, Refused
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.operations import certificate_authority
from tests.support.inventory_folders import InventoryFolder, static_inventory


def count(inventory: Inventory) -> int:
    return inventory.tls.ca_certificate.count("BEGIN CERTIFICATE")


@pytest.fixture
def folder(tmp_path: Path) -> InventoryFolder:
    return static_inventory(tmp_path)


def test_authority_when_renewed_step_by_step_then_changes_hands(folder: InventoryFolder) -> None:
    first = folder.load()
    certificate_authority.renew(first)
    both = folder.load()
    assert both.tls.ca_certificate.startswith(first.tls.ca_certificate)
    assert (count(both), both.tls.ca_key) == (2, first.tls.ca_key)
    certificate_authority.switch(both)
    switched = folder.load()
    assert switched.tls.ca_key != first.tls.ca_key
    certificate_authority.retire(switched)
    last = folder.load()
    assert count(last) == 1
    assert last.tls.ca_certificate not in first.tls.ca_certificate
    assert tls.signing_certificate(last.tls.ca_key, last.tls.ca_certificate)
    modes = [
        (folder.path / "secrets" / name).stat().st_mode & 0o777 for name in ("ca.key", "ca.crt")
    ]
    assert modes == [0o600, 0o644]


def test_renewal_when_begun_already_then_makes_no_third_authority(folder: InventoryFolder) -> None:
    certificate_authority.renew(folder.load())
    certificate_authority.renew(folder.load())
    assert count(folder.load()) == 2


def test_switch_when_nothing_was_renewed_is_refused(folder: InventoryFolder) -> None:
    with pytest.raises(Refused, match="no new authority"):
        certificate_authority.switch(folder.load())


def test_retire_when_the_old_one_still_signs_is_refused(folder: InventoryFolder) -> None:
    certificate_authority.renew(folder.load())
    with pytest.raises(Refused, match="does not sign yet"):
        certificate_authority.retire(folder.load())


def test_renewal_when_the_key_is_stored_elsewhere_is_refused(
    folder: InventoryFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CA_KEY", (folder.path / "secrets/ca.key").read_text())
    cluster = (folder.path / "cluster.yml").read_text() + "tls: {ca_key: !env CA_KEY}\n"
    folder.write("cluster.yml", cluster)
    with pytest.raises(Refused, match="the secret comes from !env CA_KEY"):
        certificate_authority.renew(folder.load())


def test_authority_when_key_and_certificate_do_not_belong_together_says_so(
    folder: InventoryFolder,
) -> None:
    settings = folder.load().tls
    other, _ = tls.new_authority("other", datetime.now(UTC))
    with pytest.raises(InventoryError, match="matches none of its certificates"):
        tls.signing_certificate(other, settings.ca_certificate)
