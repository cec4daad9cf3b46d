"""Connection strings: built in one place, every value quoted."""

import ast
from pathlib import Path

import pgprovision
from pgprovision.resources.data_directory.standby import primary_conninfo
from pgprovision.resources.postgres.conninfo import extend, verified_connection
from pgprovision.tasks import login_checks
from pgprovision.tasks.context import PlanContext
from tests.support.inventory_folders import static_inventory

ROOT = Path(pgprovision.__file__).parent


def test_extend_when_a_value_holds_quotes_then_it_stays_one_value() -> None:
    assert extend("", dbname="it's \\ here") == r"dbname='it\'s \\ here'"
    assert extend("host='a'", user="u", port=1) == "host='a' user='u' port='1'"


def test_verified_connection_when_built_then_the_certificate_is_always_checked() -> None:
    found = verified_connection(host="db-1", address="10.0.1.2", port=5432, ca="/ca", user="u")
    assert found == (
        "host='db-1' hostaddr='10.0.1.2' port='5432' user='u' sslmode='verify-full'"
        " sslrootcert='/ca'"
    )


def test_standby_when_it_streams_then_its_connection_has_a_passfile_and_a_name() -> None:
    found = primary_conninfo(
        host="db-1",
        address="10.0.1.2",
        port=5432,
        user="replicator",
        passfile="/var/lib/postgresql/.pgpass",
        ca="/ca",
        node="db-2",
    )
    assert found == (
        "host='db-1' hostaddr='10.0.1.2' port='5432' user='replicator'"
        " passfile='/var/lib/postgresql/.pgpass' sslmode='verify-full' sslrootcert='/ca'"
        " application_name='db-2'"
    )


def test_login_check_when_it_connects_then_goes_by_the_same_string(tmp_path: Path) -> None:
    inventory = static_inventory(tmp_path).load()
    context = PlanContext.declared(inventory, inventory.primary)
    found = login_checks.primary_conninfo(context, "10.0.1.2", "hcb_production")
    assert found.startswith("host='db-1' hostaddr='10.0.1.2' port='5432' dbname='hcb_production'")
    assert "sslmode='verify-full'" in found


def test_quoting_when_a_connection_string_is_built_then_is_done_in_one_file() -> None:
    def imports_the_quoting(path: Path) -> bool:
        return any(
            isinstance(node, ast.ImportFrom)
            and node.module == "pgprovision.quote"
            and any(alias.name == "conninfo" for alias in node.names)
            for node in ast.walk(ast.parse(path.read_text()))
        )

    files = [path for path in sorted(ROOT.rglob("*.py")) if imports_the_quoting(path)]
    assert [str(path.relative_to(ROOT)) for path in files] == ["resources/postgres/conninfo.py"]
