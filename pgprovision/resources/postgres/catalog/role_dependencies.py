"""What a role owns and has privileges on, by name: it cannot be dropped because of that."""

from pgprovision.engine.model import Answer, Probe
from pgprovision.quote import ident, literal, sh
from pgprovision.resources.postgres.server.instance import Instance, as_postgres

MAX_NAMES = 20  # names for each database
_FOUND = "refclassid = 'pg_authid'::regclass and refobjid = to_regrole({role})"
_NAMES = """
    select case deptype when 'o' then '' else 'privileges on ' end
        || pg_describe_object(classid, objid, objsubid) || {where}
    from pg_shdepend where {found} and dbid = {database} order by deptype desc, 1 limit {most}"""
# libpq's quoting, as the name goes into a connection string
_DATABASES = r"""
    select 'dbname=''' || replace(replace(datname, '\', '\\'), '''', '\''') || ''''
    from pg_database d where exists (select from pg_shdepend where {found} and dbid = d.oid)"""


def role_dependencies_probe(instance: Instance, role: str) -> Probe:
    """Looks into every database where the role has something."""
    found = _FOUND.format(role=literal(ident(role)))
    current_database = "(select oid from pg_database where datname = current_database())"
    shared = _NAMES.format(where="''", found=found, database="0", most=MAX_NAMES)
    inside = _NAMES.format(
        where="' in ' || current_database()", found=found, database=current_database, most=MAX_NAMES
    )
    options = ("-XAtq", "-v", "ON_ERROR_STOP=1", "-p", str(instance.port), "-c")
    psql = as_postgres(f"{instance.bin_directory}/psql", *options)
    return Probe(
        f"{psql} {sh(shared)} -d postgres || exit\n"
        f"{psql} {sh(_DATABASES.format(found=found))} -d postgres | while IFS= read -r where\n"
        f'do {psql} {sh(inside)} -d "$where" </dev/null; done'
    )


def dependency_names(answer: Answer | None) -> tuple[str, ...]:
    """The names in the answer to `role_dependencies_probe`."""
    return tuple(answer.text.splitlines()) if answer else ()
