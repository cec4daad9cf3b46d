"""The state on disk: JSON documents in SQLite, one transaction per request."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Doc = dict[str, Any]

_SCHEMA = """
create table if not exists documents (
    kind text not null, id integer not null, project text not null, body text not null,
    primary key (kind, id));
create index if not exists documents_status on documents (kind, json_extract(body, '$.status'));
create table if not exists counter (next integer not null);
insert into counter select 10001 where not exists (select 1 from counter);
"""


class DocumentStore:
    """Documents by kind and id, for many threads. Ids are never given twice, across all kinds."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "cloud.sqlite"
        path.touch(mode=0o600)  # has user data
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lock = threading.RLock()
        self._depth = 0
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = normal")
        self._db.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside happens, or nothing; other threads wait."""
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                if self._depth == 1:
                    self._db.execute("rollback")
                raise
            else:
                if self._depth == 1:
                    self._db.execute("commit")
            finally:
                self._depth -= 1

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def new_id(self) -> int:
        sql = "update counter set next = next + 1 returning next - 1"
        with self._lock:
            return int(self._db.execute(sql).fetchone()[0])

    def put(self, kind: str, doc: Doc) -> None:
        row = (kind, doc["id"], doc["project"], json.dumps(doc))
        with self._lock:
            self._db.execute("insert or replace into documents values (?, ?, ?, ?)", row)

    def delete(self, kind: str, ident: int) -> None:
        with self._lock:
            self._db.execute("delete from documents where kind = ? and id = ?", (kind, ident))

    def get(self, kind: str, ident: int) -> Doc | None:
        found = self._select("kind = ? and id = ?", kind, ident)
        return found[0] if found else None

    def list_all(self, kind: str, project: str | None = None) -> list[Doc]:
        """By id. Without a project: of all of them."""
        if project is None:
            return self._select("kind = ?", kind)
        return self._select("kind = ? and project = ?", kind, project)

    def running_actions(self) -> list[Doc]:
        return self._select("kind = 'action' and json_extract(body, '$.status') = 'running'")

    def _select(self, where: str, *values: object) -> list[Doc]:
        sql = f"select body from documents where {where} order by id"
        with self._lock:
            return [json.loads(body) for (body,) in self._db.execute(sql, values)]
