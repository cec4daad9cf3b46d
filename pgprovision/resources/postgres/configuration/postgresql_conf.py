"""postgresql.conf: rendered whole, judged by PostgreSQL before the swap, loaded in the same batch.

Bytes decide whether it differs; the settings that moved explain it and say whether a reload is
enough. A standby's file passes through values as high as its primary's (`shared_memory`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from pgprovision.engine.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State, Waiting
from pgprovision.quote import sh
from pgprovision.resources.postgres.configuration import settings_limits
from pgprovision.resources.postgres.configuration.settings import NodeSettings
from pgprovision.resources.postgres.configuration.settings_parser import settings_in
from pgprovision.resources.postgres.configuration.shared_memory import Order, running
from pgprovision.resources.postgres.server.instance import as_postgres
from pgprovision.resources.postgres.server.reload import put_back, reload, restart
from pgprovision.resources.postgres.server.snapshot import Server
from pgprovision.resources.system.disk_space import above
from pgprovision.resources.system.file import File

Render = Callable[..., str]
"""A template that takes its values by keyword: `partial(render, "postgresql.conf.j2", folder)`."""


@dataclass(frozen=True, kw_only=True)
class Conf(NodeSettings, Resource):
    """The main configuration file of a node. What is not given of the machine is looked up."""

    kind: ClassVar[str] = "postgresql.conf"
    render: Render = field(compare=False, repr=False)
    order: Order | None = None
    server: Server | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        return self._file.path

    @property
    def _file(self) -> File:
        path = f"{self.snapshot.instance.config_directory}/postgresql.conf"
        return File(
            on=self.on, path=path, content="", mode="0640", owner="postgres", group="postgres"
        )

    def probe(self) -> Ask:
        return self._file.probe()

    def read(self, answer: Answer) -> State | None:
        return self._file.read(answer)

    def complaints(self) -> Iterator[tuple[str, str]]:
        """What does not fit the machine, as far as it was seen, and what to do about it."""
        if self.memory and self.disk:
            yield from settings_limits.complaints(self._wished(), self.memory, self.disk)

    def remarks(self, state: State) -> tuple[str, ...]:
        return tuple(settings_limits.remarks(self._wished(), self.memory)) if self.memory else ()

    def _wished(self) -> dict[str, object]:
        """Every setting by its name in small letters."""
        return {s.name.lower(): s.value for part in self.sections({}) for s in part.settings}

    def needs(self) -> tuple[Need, ...]:
        """The running server's settings, the other nodes' where they are bound to them, and the
        machine's size where it is not given."""
        others = self.order.needs(self.on, self.snapshot) if self.order else ()
        return (Need(self.on, self.snapshot.ask()), *others, *self.size_needs())

    def size_needs(self) -> tuple[Need, ...]:
        """Where the machine's size is not given, the look at it."""
        known = None not in (self.memory, self.cores, self.disk)
        return () if known else (Need(self.on, self._size),)

    @property
    def _size(self) -> Ask:
        return Ask(
            f"{above(self.snapshot.instance.data_directory)}\n"
            "sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo\n"
            'nproc; df -B1 --output=size "$d" | tail -n 1'
        )

    def settled(self, facts: Facts) -> Self:
        catalog = facts.get(self.on, self.snapshot.ask())
        server = self.snapshot.parse(catalog) if catalog else None
        return replace(
            self.sized(facts),
            server=server if isinstance(server, Server) else None,
            order=self.order and self.order.settled(self.on, self.snapshot, facts),
        )

    def sized(self, facts: Facts) -> Self:
        """With the machine's size."""
        size = facts.get(self.on, self._size)
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
        """The whole file."""
        return self.render(sections=tuple(self.sections(self.order.kept if self.order else {})))

    @property
    def _text_for_now(self) -> str:
        """The same, and nothing lower than a standby may have it yet."""
        if self.order is None:
            return self.text()
        order, names = self.order, {**self.order.kept, **self.order.least}
        least = {name: max(order.kept.get(name, 0), order.least.get(name, 0)) for name in names}
        return self.render(sections=tuple(self.sections(least)))

    def held(self, diff: Diff) -> Waiting | None:
        order, wish = self.order, self.shared_memory()
        if order is None or not diff.moved("content"):
            return None
        if self.on == order.primary:
            now = running(self.server) if self.server else wish
            return order.first(self.on, {n: v for n, v in wish.items() if v > now[n]})
        if diff.before is None or self._moved(diff, self._text_for_now):
            return None  # a step towards it can be taken
        return order.first(self.on, {n: max(v, order.kept.get(n, 0)) for n, v in wish.items()})

    def explain(self, diff: Diff) -> tuple[str, ...]:
        if diff.before is None or not diff.moved("content"):
            return diff.keys
        others = tuple(key for key in diff.keys if key != "content")
        return (self._moved(diff, self.text()) or ("comments",)) + others

    def change(self, diff: Diff) -> Iterable[Do]:
        if diff.before is not None and not diff.moved("content"):
            yield from self._file.change(diff)
            return
        instance, path = self.snapshot.instance, sh(self.name)
        postgres = as_postgres(f"{instance.bin}/postgres", "-C", "data_directory")
        judge = (
            f'{postgres} -c config_file="$new" >/dev/null || {{ rm -f "$new"; exit 1; }}\n'
            f"[ ! -e {path} ] || cp -p {path} {path}.previous"
        )
        text = self._text_for_now
        wish = replace(self._file, content=text)
        yield Do(
            f"write {self.name}, once postgres -C accepts it",
            wish.write_text(judge),
            text.encode(),
        )
        if self.server is None:
            return
        moved = self._moved(diff, text)
        contexts = {name.lower(): context for name, context in self.server.contexts.items()}
        postmaster = [name for name in moved if contexts.get(name.lower()) == "postmaster"]
        if postmaster:
            back = put_back(self.name)
            yield restart(instance, f"{', '.join(postmaster)} moved", fall_back=back)
        else:
            yield reload(instance, f"{', '.join(moved) or 'comments'} moved")

    def _moved(self, diff: Diff, text: str) -> tuple[str, ...]:
        before, after = settings_in(str((diff.before or {}).get("content") or ""), text)
        names = sorted({**before, **after})
        return tuple(name for name in names if before.get(name) != after.get(name))
