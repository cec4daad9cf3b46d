"""pg_hba.conf: who may log in, from where, and by which method."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, Self

from pgprovision.engine.model import (
    Action,
    Answer,
    Diff,
    Facts,
    Need,
    Probe,
    Resource,
    State,
    WithDescription,
    WithNeeds,
)
from pgprovision.errors import InventoryError, Refused
from pgprovision.quote import sh
from pgprovision.resources.postgres.configuration.pg_hba_parser import parse_pg_hba
from pgprovision.resources.postgres.configuration.pg_hba_rules import (
    HbaSection,
    RequiredLogin,
    locked_out,
)
from pgprovision.resources.postgres.configuration.postgresql_conf import Render
from pgprovision.resources.postgres.server.reload import reload
from pgprovision.resources.postgres.server.snapshot import SnapshotQuery
from pgprovision.resources.system.file import File


@dataclass(frozen=True, kw_only=True)
class PgHba(Resource, WithNeeds, WithDescription):
    """The file. It is parsed before it is sent, and refused where it has other rules than the
    inventory, or would reject one of `required_logins`. PostgreSQL checks it before it is loaded.
    """

    kind: ClassVar[str] = "pg_hba.conf"
    snapshot: SnapshotQuery
    render: Render = field(compare=False, repr=False)
    sections: tuple[HbaSection, ...]
    required_logins: tuple[RequiredLogin, ...] = ()
    running: bool = False

    @property
    def name(self) -> str:
        return f"{self.snapshot.instance.config_directory}/pg_hba.conf"

    def _file(self, content: str = "") -> File:
        attributes = {"mode": "0640", "owner": "postgres", "group": "postgres"}
        return File(on=self.on, path=self.name, content=content, **attributes)

    def text(self) -> str:
        """The complete file. Raises InventoryError where it has other rules than the inventory,
        Refused where it would reject a login that the cluster needs."""
        return self._text

    @cached_property
    def _text(self) -> str:
        text = self.render(sections=self.sections)
        parsed = tuple(parse_pg_hba(text))
        if lost_logins := list(locked_out(parsed, self.required_logins)):
            raise Refused(
                f"the new pg_hba.conf would lock out {'; '.join(lost_logins)}",
                next="correct templates/pg_hba.conf.j2 in the inventory's folder",
            )
        lines = [rule.line for section in self.sections for rule in section.rules]
        if [rule.line for rule in parsed] != lines:
            raise InventoryError("pg_hba.conf would have other rules than the inventory's")
        return text

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.on, self.snapshot.probe()),)

    def resolved(self, facts: Facts) -> Self:
        server = self.snapshot.running_server(facts.get(self.on, self.snapshot.probe()))
        return replace(self, running=server is not None)

    def probe(self) -> Probe:
        return self._file().probe()

    def read(self, answer: Answer) -> State | None:
        return self._file().read(answer)

    def desired(self) -> State | None:
        return self._file(self._text).desired()

    def describe_changes(self, diff: Diff) -> tuple[str, ...]:
        """The lines that are removed (-) and added (+)."""
        if diff.before is None or not diff.changed("content"):
            return diff.keys
        before, after = _lines(str(diff.before["content"])), _lines(self._text)
        removed = [f"- {line}" for line in before if line not in after]
        added = [f"+ {line}" for line in after if line not in before]
        others = [key for key in diff.keys if key != "content"]
        return (*(removed + added or ["order and comments"]), *others)

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.before is not None and not diff.changed("content"):
            yield from self._file(self._text).change(diff)
            return
        path = sh(self.name)
        keep = f"[ ! -e {path} ] || cp -p {path} {path}.previous"
        text = self._file().write_command(keep)
        if not self.running:
            yield Action(f"write {self.name}", text, self._text.encode())
            return
        errors = "select line_number, error from pg_hba_file_rules where error is not null"
        text += (
            f"\nerrors=$({self.snapshot.instance.psql()} -c {sh(errors)})"
            " || errors='PostgreSQL does not answer'\n"
            f'[ -n "$errors" ] || exit 0\nmv -fT {path}.previous {path}\n'
            'echo "PostgreSQL cannot read it; the previous file is back: $errors" >&2; exit 1'
        )
        yield Action(f"write {self.name}, unless PostgreSQL rejects it", text, self._text.encode())
        yield reload(self.snapshot.instance, "new rules")


def _lines(text: str) -> list[str]:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
