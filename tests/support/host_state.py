"""What others see of the machines of a cluster: their files, their database, a refusal."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.support.cli_user import Person

DATA = "/var/lib/postgresql/15/main"
NOTE = f"{DATA}.pgprovision-making"
MARKER = "/etc/pgprovision/marker.json"
SERVICE = "postgresql@15-main.service"
OURS = "/etc /usr /opt /root /home /var/lib/postgresql /var/lib/pgprovision /var/lib/dpkg"
TREE = f"find {OURS} ! -path '{DATA}/*' -printf '%p %i %s %m %T@\\n'"


def asides(person: Person, node: str) -> int:
    return int(person.shell(node, f"ls -d {DATA}.aside-* 2>/dev/null | wc -l"))


def database(person: Person, node: str) -> tuple[str, ...]:
    """Inode, system identifier, timeline and rows."""
    inode = person.shell(node, f"stat -c %i {DATA}")
    query = "select system_identifier from pg_control_system();"
    query += "select timeline_id from pg_control_checkpoint(); select count(*) from rows"
    return inode, *person.sql(node, query, "hcb_production").split()


def tree(person: Person, node: str, data: bool = False) -> str:
    """Every file with its inode, size, mode and time; `data`: those of a stopped cluster, too."""
    more = f"; find {DATA} -printf '%p %i %s %m %T@\\n'" if data else ""
    return person.shell(node, f"{{ {TREE}{more}; }} | sort")


@contextmanager
def untouched(person: Person, *nodes: str, data: bool = False) -> Iterator[None]:
    """Nothing is written on these machines."""
    before = [tree(person, node, data) for node in nodes]
    yield
    for node, seen in zip(nodes, before, strict=True):
        now = tree(person, node, data)
        assert set(now.splitlines()) ^ set(seen.splitlines()) == set()


@contextmanager
def stopped(person: Person, *nodes: str) -> Iterator[None]:
    for node in nodes:
        person.shell(node, f"systemctl stop {SERVICE}")
    yield
    for node in nodes:
        start = f"systemctl reset-failed {SERVICE}; systemctl start {SERVICE}"
        person.shell(node, start)  # so many starts in a row are nobody's but ours


@contextmanager
def rewritten(person: Person, file: str, changes: Mapping[str, str]) -> Iterator[None]:
    path = person.inventory / file
    before = path.read_text()
    person.rewrite(file, changes)
    yield
    path.write_text(before)


def refused(person: Person, *words: str, said: str, next: str = "") -> None:
    """A command that ends with exit code 3, in these words."""
    run = person.run(*words)
    assert run.code == 3, run.out + run.err
    assert said in run.err
    assert next in run.err


def clean(person: Person) -> None:
    found = person.done("up")
    assert (found["changes"], found["left"]) == ([], [])
