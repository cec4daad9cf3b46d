"""postgresql.conf: rendered completely, checked by PostgreSQL before it replaces the old file,
loaded in the same batch.

The file differs where any byte does. The changed settings are reported, and decide between reload
and restart. A standby's values are first raised to its primary's (`standby_parameters`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
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
    Waiting,
    WithDescription,
    WithNeeds,
    WithNotes,
    WithOrder,
)
from pgprovision.quote import sh
from pgprovision.resources.postgres.configuration import settings_limits
from pgprovision.resources.postgres.configuration.settings import NodeSettings
from pgprovision.resources.postgres.configuration.settings_parser import parse_settings
from pgprovision.resources.postgres.configuration.shared_memory import RolloutOrder, running_values
from pgprovision.resources.postgres.server.instance import as_postgres
from pgprovision.resources.postgres.server.reload import reload, restart, restore_previous
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot
from pgprovision.resources.system.disk_space import existing_parent
from pgprovision.resources.system.file import File

Render = Callable[..., str]
"""A template that takes its values by keyword: `partial(render, "postgresql.conf.j2", folder)`."""


@dataclass(frozen=True, kw_only=True)
class PostgresqlConf(NodeSettings, Resource, WithNeeds, WithOrder, WithNotes, WithDescription):
    """The configuration file of a node. The size of the host is looked up where it is not given."""

    kind: ClassVar[str] = "postgresql.conf"
    render: Render = field(compare=False, repr=False)
    rollout_order: RolloutOrder | None = None
    server: ServerSnapshot | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        return self._file.path

    @property
    def _file(self) -> File:
        path = f"{self.snapshot.instance.config_directory}/postgresql.conf"
        return File(
            on=self.on, path=path, content="", mode="0640", owner="postgres", group="postgres"
        )

    def probe(self) -> Probe:
        return self._file.probe()

    def read(self, answer: Answer) -> State | None:
        return self._file.read(answer)

    def problems(self) -> Iterator[tuple[str, str]]:
        """What does not fit the host, as far as its size is known, and what to do about it."""
        if self.memory and self.disk:
            yield from settings_limits.problems(self._desired_settings(), self.memory, self.disk)

    def notes(self, state: State) -> tuple[str, ...]:
        return (
            tuple(settings_limits.notes(self._desired_settings(), self.memory))
            if self.memory
            else ()
        )

    def _desired_settings(self) -> dict[str, object]:
        """Every setting by its lower-case name."""
        return {s.name.lower(): s.value for part in self.sections({}) for s in part.settings}

    def needs(self) -> tuple[Need, ...]:
        """The running server's settings, those of the other nodes where they depend on each other,
        and the host's size where it is not given."""
        others = self.rollout_order.needs(self.on, self.snapshot) if self.rollout_order else ()
        return (Need(self.on, self.snapshot.probe()), *others, *self.machine_size_needs())

    def machine_size_needs(self) -> tuple[Need, ...]:
        """The probe for the host's size, where it is not given."""
        known = None not in (self.memory, self.cores, self.disk)
        return () if known else (Need(self.on, self._machine_size_probe),)

    @property
    def _machine_size_probe(self) -> Probe:
        return Probe(
            f"{existing_parent(self.snapshot.instance.data_directory)}\n"
            "sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo\n"
            'nproc; df -B1 --output=size "$d" | tail -n 1'
        )

    def resolved(self, facts: Facts) -> Self:
        catalog = facts.get(self.on, self.snapshot.probe())
        server = self.snapshot.parse(catalog) if catalog else None
        return replace(
            self.with_machine_size(facts),
            server=server if isinstance(server, ServerSnapshot) else None,
            rollout_order=self.rollout_order
            and self.rollout_order.resolved(self.on, self.snapshot, facts),
        )

    def with_machine_size(self, facts: Facts) -> Self:
        """With the host's size."""
        size = facts.get(self.on, self._machine_size_probe)
        if size is None or size.code:
            return self
        memory, cores, disk = map(int, size.text.split())
        return replace(
            self,
            memory=self.memory or memory * 1024,
            cores=self.cores or cores,
            disk=self.disk or disk,
        )

    def desired(self) -> State:
        return {**(self._file.desired() or {}), "content": self.text()}

    def text(self) -> str:
        """The complete file."""
        return self.render(
            sections=tuple(
                self.sections(self.rollout_order.overridden if self.rollout_order else {})
            )
        )

    @property
    def _interim_text(self) -> str:
        """The file with every standby parameter as high as the standby needs it until its primary
        has the declared value."""
        if self.rollout_order is None:
            return self.text()
        order, names = (
            self.rollout_order,
            {**self.rollout_order.overridden, **self.rollout_order.minimum},
        )
        minimum = {
            name: max(order.overridden.get(name, 0), order.minimum.get(name, 0)) for name in names
        }
        return self.render(sections=tuple(self.sections(minimum)))

    def blocked_by(self, diff: Diff) -> Waiting | None:
        order, desired = self.rollout_order, self.standby_parameters()
        if order is None or not diff.changed("content"):
            return None
        if self.on == order.primary:
            now = running_values(self.server) if self.server else desired
            return order.blocked_by(self.on, {n: v for n, v in desired.items() if v > now[n]})
        if diff.before is None or self._changed_settings(diff, self._interim_text):
            return None  # a step towards it can be taken
        return order.blocked_by(
            self.on, {n: max(v, order.overridden.get(n, 0)) for n, v in desired.items()}
        )

    def describe_changes(self, diff: Diff) -> tuple[str, ...]:
        if diff.before is None or not diff.changed("content"):
            return diff.keys
        others = tuple(key for key in diff.keys if key != "content")
        return (self._changed_settings(diff, self.text()) or ("comments",)) + others

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.before is not None and not diff.changed("content"):
            yield from self._file.change(diff)
            return
        instance, path = self.snapshot.instance, sh(self.name)
        postgres = as_postgres(f"{instance.bin_directory}/postgres", "-C", "data_directory")
        judge = (
            f'{postgres} -c config_file="$new" >/dev/null || {{ rm -f "$new"; exit 1; }}\n'
            f"[ ! -e {path} ] || cp -p {path} {path}.previous"
        )
        text = self._interim_text
        new_file = replace(self._file, content=text)
        yield Action(
            f"write {self.name}, once postgres -C accepts it",
            new_file.write_command(judge),
            text.encode(),
        )
        if self.server is None:
            return
        changed = self._changed_settings(diff, text)
        contexts = {name.lower(): context for name, context in self.server.contexts.items()}
        postmaster = [name for name in changed if contexts.get(name.lower()) == "postmaster"]
        if postmaster:
            back = restore_previous(self.name)
            yield restart(instance, f"{', '.join(postmaster)} moved", rollback_script=back)
        else:
            yield reload(instance, f"{', '.join(changed) or 'comments'} moved")

    def _changed_settings(self, diff: Diff, text: str) -> tuple[str, ...]:
        before, after = parse_settings(str((diff.before or {}).get("content") or ""), text)
        names = sorted({**before, **after})
        return tuple(name for name in names if before.get(name) != after.get(name))
