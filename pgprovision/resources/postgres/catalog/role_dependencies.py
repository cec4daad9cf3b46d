"""What a role owns and holds privileges on, by name: what keeps it from being dropped."""

from pgprovision.engine.model import Answer, Ask
from pgprovision.quote import ident, literal, sh
from pgprovision.resources.postgres.server.instance import Instance, as_postgres

MOST = 20  # names for each database
_FOUND = "refclassid = 'pg_authid'::regclass and refobjid = to_regrole({role})"
_NAMES = """
    select case deptype when 'o' then '' else 'privileges on ' end
        || pg_describe_object(classid, objid, objsubid) || {where}
    from pg_shdepend where {found} and dbid = {database} order by deptype desc, 1 limit {most}"""
# libpq's quoting, as the name goes into a connection string
_DATABASES = r"""
    select 'dbname=''' || replace(replace(datname, '\', '\\'), '''', '\''') || ''''
    from pg_database d where exists (select from pg_shdepend where {found} and dbid = d.oid)"""


def holdings(instance: Instance, role: str) -> Ask:
    """A look into every database where the role has something."""
    found = _FOUND.format(role=literal(ident(role)))
    here = "(select oid from pg_database where datname = current_database())"
    shared = _NAMES.format(where="''", found=found, database="0", most=MOST)
    inside = _NAMES.format(
        where="' in ' || current_database()", found=found, database=here, most=MOST
    )
    options = ("-XAtq", "-v", "ON_ERROR_STOP=1", "-p", str(instance.port), "-c")
    psql = as_postgres(f"{instance.bin}/psql", *options)
    return Ask(
        f"{psql} {sh(shared)} -d postgres || exit\n"
        f"{psql} {sh(_DATABASES.format(found=found))} -d postgres | while IFS= read -r where\n"
        f'do {psql} {sh(inside)} -d "$where" </dev/null; done'
    )


def named(answer: Answer | None) -> tuple[str, ...]:
    """The names in what holdings answered."""
    return tuple(answer.text.splitlines()) if answer else ()
