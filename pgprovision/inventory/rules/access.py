"""Databases' `access`: what it makes of the roles, and what it may not say."""

from collections.abc import Iterator, Mapping

from pgprovision.inventory.problems import KeyPath, Message, Problems, did_you_mean
from pgprovision.inventory.schema.cluster import (
    Access,
    AccessGroup,
    DatabaseSpec,
    Inventory,
    RoleSpec,
)


def complete_roles(inventory: Inventory) -> Mapping[str, RoleSpec]:
    """The declared roles as members of their groups, and the groups that nobody declared; each
    group before its members."""
    found = dict(inventory.roles)
    for database, entry, verb in _groups(inventory):
        comment = f"{verb} {database.name}; its members log in"
        found.setdefault(entry.group, RoleSpec(name=entry.group, login=False, comment=comment))
    for member, group, _ in _memberships(inventory):
        role = found.get(member)
        if role and group not in role.member_of:
            found[member] = role.model_copy(update={"member_of": (*role.member_of, group)})
    ordered: dict[str, RoleSpec] = {}
    for name in found:
        _insert_after_groups(name, found, ordered, ())
    return ordered


def _insert_after_groups(
    name: str,
    roles_by_name: Mapping[str, RoleSpec],
    ordered: dict[str, RoleSpec],
    members: tuple[str, ...],
) -> None:
    if name in roles_by_name and name not in ordered and name not in members:
        for group in roles_by_name[name].member_of:
            _insert_after_groups(group, roles_by_name, ordered, (*members, name))
        ordered[name] = roles_by_name[name]


def _groups(inventory: Inventory) -> Iterator[tuple[DatabaseSpec, AccessGroup, str]]:
    for database in inventory.databases.values():
        access = database.access or Access()
        for entry, verb in ((access.application, "reads and writes"), (access.read_only, "reads")):
            if entry:
                yield database, entry, verb


def connectable_databases(inventory: Inventory, role: str) -> Iterator[str]:
    """The declared databases that a role may connect to; `inventory` is a loaded one."""
    inherited = _inherited_roles(role, inventory.roles)
    for name, database in inventory.databases.items():
        if inherited & set(_may_connect(database)):
            yield name


def _memberships(inventory: Inventory) -> Iterator[tuple[str, str, DatabaseSpec]]:
    """(member, group, database): migrations act as the owner, logins inherit from their group."""
    for database in inventory.databases.values():
        if access := database.access:
            for login in access.migration:
                yield login, database.owner, database
            for entry in access.groups:
                for login in entry.logins:
                    yield login, entry.group, database


def check_access(inventory: Inventory) -> Problems:
    """Names that do not fit, and logins that hba would let in and the database reject."""
    declared = inventory.roles
    groups = {entry.group for _, entry, _ in _groups(inventory)}
    for name, database in inventory.databases.items():
        at: KeyPath = ("databases", name, "access")
        yield from _logins(inventory, database, at, groups)
        for i, grant in enumerate(database.grants):
            if database.access and grant.to in (g.group for g in database.access.groups):
                path = ("databases", name, "grants", i, "to")
                yield path, f"{grant.to} has its privileges from access; expected them in one place"
    for loc, role in _role_references(inventory):
        if role in declared and not declared[role].present:
            yield loc, f"role {role} is declared absent (present: false)"
    yield from _missing_connect(inventory)


def _logins(
    inventory: Inventory, database: DatabaseSpec, at: KeyPath, groups: set[str]
) -> Problems:
    access, declared = database.access, inventory.roles
    if access is None:
        return
    for key in ("application", "read_only"):
        entry = getattr(access, key)
        if entry and entry.group == database.owner:
            yield (*at, key, "group"), "the owner can do everything; expected a role of its own"
        if entry and entry.group in declared and declared[entry.group].login:
            yield (*at, key, "group"), f"{entry.group} can log in; expected login: false"
    if len({entry.group for entry in access.groups}) < len(access.groups):
        yield (*at, "read_only", "group"), "the application's group; expected another group"
    named = [((*at, "migration", i), login) for i, login in enumerate(access.migration)]
    for key in ("application", "read_only"):
        entry = getattr(access, key)
        logins = entry.logins if entry else ()
        named += [((*at, key, "logins", i), login) for i, login in enumerate(logins)]
    for loc, login in named:
        if login in groups:
            yield loc, f"{login} is a group; expected a role that logs in"
        elif login not in declared:
            meant = did_you_mean(login, declared)
            yield loc, Message(f"role {{login}} is not declared under roles{meant}", login=login)
        elif not declared[login].login:
            yield loc, f"{login} cannot log in; expected a role with login: true"


def _role_references(inventory: Inventory) -> Iterator[tuple[KeyPath, str]]:
    for name, role in inventory.roles.items():
        for i, group in enumerate(role.member_of):
            yield ("roles", name, "member_of", i), group
    for name, database in inventory.databases.items():
        yield ("databases", name, "owner"), database.owner
        for i, grant in enumerate(database.grants):
            yield ("databases", name, "grants", i, "to"), grant.to
    for member, _, database in _memberships(inventory):
        yield ("databases", database.name, "access"), member
    for i, rule in enumerate(inventory.postgres.hba):
        for j, user in enumerate(rule.users):
            yield ("postgres", "hba", i, "users", j), user


def _missing_connect(inventory: Inventory) -> Problems:
    """PUBLIC may not connect, so whom hba lets in needs CONNECT from somewhere."""
    complete = complete_roles(inventory)
    allowed = {name: set(_may_connect(database)) for name, database in inventory.databases.items()}
    for i, rule in enumerate(inventory.postgres.hba):
        for j, user in enumerate(rule.users):
            inherited = _inherited_roles(user, complete)
            for name in rule.databases:
                if name in allowed and user in complete and not inherited & allowed[name]:
                    yield (
                        ("postgres", "hba", i, "users", j),
                        f"{user} may not connect to {name}; expected it in databases.{name}.access,"
                        " or a grant of CONNECT",
                    )


def _may_connect(database: DatabaseSpec) -> Iterator[str]:
    yield database.owner
    yield from (g.group for g in (database.access.groups if database.access else ()))
    for grant in database.grants:
        if grant.on == "database" and {"CONNECT", "ALL"} & set(grant.privileges):
            yield grant.to


def _inherited_roles(name: str, complete: Mapping[str, RoleSpec]) -> set[str]:
    """The role and every role that gives it privileges by inheritance."""
    found, pending = set[str](), [name]
    while pending:
        role = pending.pop()
        if role not in found and role in complete:
            found.add(role)
            pending += complete[role].member_of if complete[role].inherit else ()
    return found
