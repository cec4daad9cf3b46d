"""What no single key can know: names that refer to each other, addresses, counts, duties."""

import os
from collections.abc import Iterable
from pathlib import Path

from pgprovision.inventory.problems import (
    KeyPath,
    Message,
    Problems,
    closest_name,
    did_you_mean,
)
from pgprovision.inventory.rules import access, drill, extensions, networks
from pgprovision.inventory.rules.settings_and_secrets import check_secrets, check_settings
from pgprovision.inventory.schema.cluster import Inventory, Ssh
from pgprovision.inventory.schema.examples import example_line

MAX_SPREAD_SERVERS = 10  # servers in one spread placement group, by Hetzner's documentation
MAX_NODE_NAME = 51  # of the 63 characters of a slot's name, pgprovision_ takes 12
_PRIVILEGES = {
    "database": {"CREATE", "CONNECT", "TEMPORARY", "TEMP"},
    "schema": {"CREATE", "USAGE"},
    "tables": {"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"},
    "sequences": {"SELECT", "USAGE", "UPDATE"},
    "functions": {"EXECUTE"},
}


def check_inventory(inventory: Inventory) -> Problems:
    """Everything wrong between the parts of a well-typed inventory, by key path."""
    checks = (
        _nodes,
        _replicas,
        networks.check_networks,
        _packages,
        _names,
        _references,
        access.check_access,
        extensions.check_extensions,
        _files,
        check_settings,
        check_secrets,
        drill.check_drills,
    )
    for check in checks:
        yield from check(inventory)


def _nodes(inventory: Inventory) -> Problems:
    nodes = inventory.nodes
    primaries = [i for i, node in enumerate(nodes) if node.is_primary]
    if not primaries:
        yield ("nodes",), "no primary node; expected `role: primary` in exactly one node file"
    for index in primaries[1:]:
        first = nodes[primaries[0]].name
        yield (
            ("nodes", index, "role"),
            f"a second primary; the first is {first}; expected role: replica",
            "role: replica",
        )
    for name in ("private_ip", "address"):
        owners: dict[object, str] = {}
        for index, node in enumerate(nodes):
            value = getattr(node, name)
            if value is not None and value in owners:
                text = Message(f"{{value}} is already {owners[value]}'s", value=value)
                yield ("nodes", index, name), text
            owners.setdefault(value, node.name)
        if name == "address" and not inventory.hetzner:
            for index, node in enumerate(nodes):
                if node.address is None:
                    yield (
                        ("nodes", index, "address"),
                        "missing; expected the existing host's address (no hetzner: makes it)",
                        "address: 192.0.2.10",
                    )
    created = [node for node in nodes if node.address is None]
    if inventory.hetzner and len(created) > MAX_SPREAD_SERVERS:
        yield (
            ("hetzner", "placement_group"),
            f"{len(created)} servers in one spread group; expected at most {MAX_SPREAD_SERVERS}",
        )


def _replicas(inventory: Inventory) -> Problems:
    backup = inventory.backup
    locales = {d.locale or inventory.postgres.locale for d in inventory.databases.values()}
    plain = {inventory.postgres.locale, *locales} <= {"C", "POSIX"}  # sorts alike everywhere
    images = {
        node.image or inventory.hetzner.image
        for node in inventory.nodes
        if inventory.hetzner and node.is_primary and node.address is None
    }
    for index, node in enumerate(inventory.nodes):
        if len(node.name) > MAX_NODE_NAME:
            text = f"expected at most {MAX_NODE_NAME} characters: its slot is named after it"
            yield ("nodes", index, "name"), text
        foreign = images and node.image not in images
        if node.image and node.address is None and foreign and not plain:
            text = f"expected {min(images)}, the primary's: another release sorts text differently"
            yield ("nodes", index, "image"), text, f"image: {min(images)}"
        if node.clone_from == "backup" and not (backup and backup.archiving):
            text = "there is no backup to clone from; expected a backup: that archives, or primary"
            yield ("nodes", index, "clone_from"), text, "clone_from: primary"
        if node.is_copy and backup is None:
            yield ("nodes", index, "role"), "there is no backup to copy from; expected a backup:"
        if node.restore is not None and not node.is_copy:
            yield (
                ("nodes", index, "restore"),
                f"belongs to a copy, and this is a {node.role}; expected `role: copy`, or none",
            )


def _packages(inventory: Inventory) -> Problems:
    apt = inventory.apt
    if apt.mirror and apt.source != "pgdg":
        text = "is a mirror of PGDG; expected `source: pgdg` beside it"
        example = Message("apt: {{source: pgdg, mirror: {mirror}}}", mirror=apt.mirror)
        yield ("apt", "mirror"), text, example
    if apt.mirror_key and not apt.mirror:
        yield ("apt", "mirror_key"), "has no effect without a mirror; leave it out"


def _names(inventory: Inventory) -> Problems:
    for kind, names in (("roles", inventory.roles), ("databases", inventory.databases)):
        first_spelling: dict[str, str] = {}
        for name in names:
            if first_spelling.setdefault(name.lower(), name) != name:
                yield (kind, name), f"differs from {first_spelling[name.lower()]} by case only"
    replication = inventory.postgres.replication.role
    if replication in inventory.roles:
        yield (
            ("roles", replication),
            "is the replication role; expected it under postgres.replication only",
        )


def _references(inventory: Inventory) -> Problems:
    roles, databases = access.complete_roles(inventory), inventory.databases

    def missing(kind: str, name: str, at: KeyPath, known: Iterable[str]) -> Problems:
        if name not in known:
            meant = did_you_mean(name, known)
            text = Message(f"{kind} {{name}} is not declared under {kind}s{meant}", name=name)
            yield at, text, example_line(at, closest_name(name, known) or next(iter(known), ""))

    for name, role in inventory.roles.items():
        for i, group in enumerate(role.member_of):
            yield from missing("role", group, ("roles", name, "member_of", i), roles)
    for name, database in databases.items():
        at: KeyPath = ("databases", name)
        yield from missing("role", database.owner, (*at, "owner"), roles)
        for i, grant in enumerate(database.grants):
            path = (*at, "grants", i)
            yield from missing("role", grant.to, (*path, "to"), roles)
            if grant.created_by:
                yield from missing("role", grant.created_by, (*path, "created_by"), roles)
            known = _PRIVILEGES[grant.on] | {"ALL"}
            for j, privilege in enumerate(grant.privileges):
                if privilege not in known:
                    yield (
                        (*path, "privileges", j),
                        Message(
                            f"{{name}}: {grant.on} has {', '.join(sorted(known))}", name=privilege
                        ),
                        f"- {closest_name(privilege.lower(), known) or min(known - {'ALL'})}",
                    )
    for i, rule in enumerate(inventory.postgres.hba):
        for j, name in enumerate(rule.users):
            yield from missing("role", name, ("postgres", "hba", i, "users", j), roles)
        for j, name in enumerate(rule.databases):
            yield from missing("database", name, ("postgres", "hba", i, "databases", j), databases)


def _files(inventory: Inventory) -> Problems:
    files: dict[KeyPath, Path | None] = {}
    ssh_specs: list[tuple[KeyPath, Ssh]] = [(("ssh",), inventory.ssh)]
    ssh_specs += [(("nodes", i, "ssh"), node.ssh) for i, node in enumerate(inventory.nodes)]
    for at, ssh in ssh_specs:
        files[(*at, "identity_file")] = ssh.identity_file
        files[(*at, "config")] = ssh.config
    if inventory.backup:
        files[("backup", "repository", "ca_file")] = inventory.backup.repository.ca_file
        if second := inventory.backup.second_repository:
            files[("backup", "second_repository", "ca_file")] = second.ca_file
    for at, path in files.items():
        if path is not None and not _readable(path):
            yield at, Message("no readable file {path}", path=path)
        elif path is not None and at[-1] == "identity_file" and path.stat().st_mode & 0o077:
            yield at, Message("others can read {path}; run `chmod 600 {path}`", path=path)


def _readable(path: Path) -> bool:
    try:
        return path.is_file() and os.access(path, os.R_OK)
    except OSError:  # a name longer than any may be
        return False
