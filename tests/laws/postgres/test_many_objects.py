"""F91: many databases, roles and rules are one look all the same. Times: benchmarks/many.py."""

from pathlib import Path

import pytest

from pgprovision.engine.loop import converge
from pgprovision.engine.model import Tier
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.snapshot import DATABASES_PER_SESSION
from pgprovision.tasks import configuration, postgres
from pgprovision.tasks.context import PlanContext
from pgprovision.transport.host import Host
from pgprovision.transport.local import LocalConnection
from tests.support.inventory_folders import static_inventory
from tests.support.postgres_machine import LOCAL, SilentObserver, approve_restart, sql

DATABASES = DATABASES_PER_SESSION + 2  # more than one session looks into
ROLES = 20


def inventory_text(instance: Instance) -> str:
    roles = "".join(f"  r{n}: {{login: false}}\n" for n in range(ROLES))
    databases = "".join(f"  d{n}: {{owner: r{n % ROLES}}}\n" for n in range(DATABASES))
    hba = "".join(
        f"    - {{databases: [d{n % DATABASES}], users: [r{n % DATABASES % ROLES}],"
        f" addresses: [10.0.{n % 250}.0/24]}}\n"
        for n in range(1000)
    )
    head = f"cluster: many\npostgres:\n  version: {instance.version}\n  port: {instance.port}\n"
    return f"{head}  hba:\n{hba}roles:\n{roles}databases:\n{databases}"


@pytest.mark.covers("F91")
def test_rerun_when_there_is_much_of_everything_is_one_trip_that_finds_nothing(
    instance: Instance, tmp_path: Path
) -> None:
    folder = static_inventory(tmp_path, inventory_text(instance))
    (folder.path / "nodes/db-1.yml").rename(folder.path / f"nodes/{LOCAL}.yml")
    inventory = folder.load()
    made = [f"create role r{n};" for n in range(ROLES)]
    made += [f"create database d{n} owner r{n % ROLES};" for n in range(DATABASES)]
    sql(instance, "\n".join(made))
    steps = (postgres.roles, postgres.databases, postgres.database_contents, postgres.unmanaged)
    context = PlanContext.declared(inventory, inventory.primary)
    tiers = [Tier(s.__name__, tuple(s(context))) for s in steps]
    converge(tiers, {LOCAL: Host(LOCAL, LocalConnection)}, approve_restart, SilentObserver())
    host = Host(LOCAL, LocalConnection)
    again = converge(tiers, {LOCAL: host}, approve_restart, SilentObserver())
    assert (again.changed, again.remaining, again.notes, host.round_trips) == ([], [], [], 1)
    (hba,) = configuration.pg_hba(context)
    state = hba.desired()
    assert state
    assert str(state["content"]).count("hostssl") == 1000
