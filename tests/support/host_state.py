"""What others see of the machines of a cluster: their files, their database, a refusal."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.support.cli_user import CliUser

DATA_DIRECTORY = "/var/lib/postgresql/15/main"
CLAIM_FILE = f"{DATA_DIRECTORY}.pgprovision-making"
MARKER = "/etc/pgprovision/marker.json"
SERVICE = "postgresql@15-main.service"
MANAGED_FOLDERS = (
    "/etc /usr /opt /root /home /var/lib/postgresql /var/lib/pgprovision /var/lib/dpkg"
)
LIST_FILES = f"find {MANAGED_FOLDERS} ! -path '{DATA_DIRECTORY}/*' -printf '%p %i %s %m %T@\\n'"


def count_aside_directories(person: CliUser, node: str) -> int:
    return int(person.shell(node, f"ls -d {DATA_DIRECTORY}.aside-* 2>/dev/null | wc -l"))


def database_state(person: CliUser, node: str) -> tuple[str, ...]:
    """Inode, system identifier, timeline and rows."""
    inode = person.shell(node, f"stat -c %i {DATA_DIRECTORY}")
    query = "select system_identifier from pg_control_system();"
    query += "select timeline_id from pg_control_checkpoint(); select count(*) from rows"
    return inode, *person.sql(node, query, "hcb_production").split()


def file_listing(person: CliUser, node: str, data: bool = False) -> str:
    """Every file with its inode, size, mode and time; `data`: those of a stopped cluster, too."""
    more = f"; find {DATA_DIRECTORY} -printf '%p %i %s %m %T@\\n'" if data else ""
    return person.shell(node, f"{{ {LIST_FILES}{more}; }} | sort")


@contextmanager
def assert_unchanged(person: CliUser, *nodes: str, data: bool = False) -> Iterator[None]:
    """Nothing is written on these machines."""
    before = [file_listing(person, node, data) for node in nodes]
    yield
    for node, earlier in zip(nodes, before, strict=True):
        now = file_listing(person, node, data)
        assert set(now.splitlines()) ^ set(earlier.splitlines()) == set()


@contextmanager
def postgres_stopped(person: CliUser, *nodes: str) -> Iterator[None]:
    for node in nodes:
        person.shell(node, f"systemctl stop {SERVICE}")
    yield
    for node in nodes:
        start = f"systemctl reset-failed {SERVICE}; systemctl start {SERVICE}"
        person.shell(node, start)  # so many starts in a row are nobody's but ours


@contextmanager
def inventory_changed(person: CliUser, file: str, changes: Mapping[str, str]) -> Iterator[None]:
    path = person.inventory / file
    before = path.read_text()
    person.rewrite(file, changes)
    yield
    path.write_text(before)


def assert_refused(person: CliUser, *words: str, message: str, next: str = "") -> None:
    """A command that ends with exit code 3, in these words."""
    run = person.run(*words)
    assert run.code == 3, run.out + run.err
    assert message in run.err
    assert next in run.err


def assert_converged(person: CliUser) -> None:
    document = person.run_json("up")
    assert (document["changes"], document["remaining"]) == ([], [])
