"""The store: transactions and ids."""

from pathlib import Path

import pytest

from pgprovision.lab.cloud.store import DocumentStore


def test_transaction_when_it_fails_then_nothing_is_stored(tmp_path: Path) -> None:
    store = DocumentStore(tmp_path)
    with pytest.raises(ValueError, match="no"), store.transaction():
        store.put("thing", {"id": 1, "project": "p"})
        raise ValueError("no")
    assert store.list_all("thing") == []


def test_transaction_when_nested_then_the_outer_decides(tmp_path: Path) -> None:
    store = DocumentStore(tmp_path)
    with pytest.raises(ValueError, match="no"), store.transaction():
        with store.transaction():
            store.put("thing", {"id": 1, "project": "p"})
        raise ValueError("no")
    assert store.get("thing", 1) is None


def test_store_when_opened_again_then_documents_are_there_and_ids_go_on(tmp_path: Path) -> None:
    store = DocumentStore(tmp_path)
    first = store.new_id()
    store.put("thing", {"id": first, "project": "p", "text": "ä"})
    store.close()
    again = DocumentStore(tmp_path)
    assert again.list_all("thing", "p") == [{"id": first, "project": "p", "text": "ä"}]
    assert again.new_id() > first


def test_store_when_made_then_only_its_owner_reads_it(tmp_path: Path) -> None:
    DocumentStore(tmp_path / "cloud")
    assert (tmp_path / "cloud/cloud.sqlite").stat().st_mode & 0o077 == 0
