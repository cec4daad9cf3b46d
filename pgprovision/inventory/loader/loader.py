"""An inventory's files as one document, and the document as one Inventory."""

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from pgprovision.inventory.loader.partial import is_affected, partial_inventory
from pgprovision.inventory.loader.plain_text import resolve_plain_text
from pgprovision.inventory.loader.validation_errors import (
    problem_at,
    rule_problem,
    validation_problems,
)
from pgprovision.inventory.loader.yaml_document import Document, parse_document
from pgprovision.inventory.problems import BadInventory, KeyPath, Problem, SourcePosition
from pgprovision.inventory.reference import Reference
from pgprovision.inventory.resolver import SECRETS_INIT_HINT, Resolver
from pgprovision.inventory.rules import access
from pgprovision.inventory.rules.cluster import check_inventory
from pgprovision.inventory.schema.backup import inherit_store
from pgprovision.inventory.schema.cluster import ANY_NETWORK, HostSpec, Inventory, Node
from pgprovision.inventory.schema.examples import example_line
from pgprovision.inventory.secret_files import DEFAULT_SECRET_FILES

CLUSTER_FILE = "cluster.yml"
NODES_FOLDER = "nodes"
REPOSITORIES_FILE = "repositories.yml"


def read_documents(folder: Path, extra: Mapping[Path, bytes] = MappingProxyType({})) -> Document:
    """All files of an inventory as one document; `extra` are files that are not written yet. Its
    references are not resolved."""
    merged = _file(folder / CLUSTER_FILE, extra)
    for key in ("nodes", "folder"):
        if isinstance(merged.value, dict) and key in merged.value:
            del merged.value[key]
            text = "unknown key; each node is a file of its own, nodes/NAME.yml"
            merged.problems.append(Problem(merged.key_positions[(key,)], (key,), text))
    _overlay_repositories(merged, folder / REPOSITORIES_FILE, extra)
    nodes: list[Any] = []
    merged.positions[(NODES_FOLDER,)] = SourcePosition(folder / NODES_FOLDER)
    names = {path for path in (folder / NODES_FOLDER).glob("*.yml") if path.name[0] != "."}
    for path in sorted(names | {path for path in extra if path.parent == folder / NODES_FOLDER}):
        at: KeyPath = (NODES_FOLDER, len(nodes))
        part = _file(path, extra, at)
        merged.add_positions(part, at)
        merged.problems += [Problem(c.position, (*at, *c.path), c.text) for c in part.problems]
        nodes.append(_with_name(part.value, path.stem, merged, at))
    for misnamed in sorted((folder / NODES_FOLDER).glob("*.yaml")):
        merged.problems.append(
            Problem(SourcePosition(misnamed), (), f"not read; rename it {misnamed.stem}.yml")
        )
    if not nodes:
        text = "missing; expected a file nodes/NAME.yml with `role: primary` and `private_ip:`"
        merged.problems.append(
            Problem(SourcePosition(folder / NODES_FOLDER), (NODES_FOLDER,), text)
        )
    if isinstance(merged.value, dict):
        merged.value[NODES_FOLDER] = nodes
        merged.value["folder"] = folder.absolute()
        fill_in(merged)
    return merged


def read_cluster_document(folder: Path) -> Document:
    """cluster.yml alone."""
    return _file(folder / CLUSTER_FILE, {})


def _overlay_repositories(merged: Document, path: Path, extra: Mapping[Path, bytes]) -> None:
    """What `backup rotate-cipher` keeps in a file of its own, over `backup` of cluster.yml."""
    if path not in extra and not path.exists():
        return
    part = _file(path, extra, ("backup",))
    merged.problems += [replace(c, path=("backup", *c.path)) for c in part.problems]
    backup = merged.value.get("backup") if isinstance(merged.value, dict) else None
    if not isinstance(backup, dict) or not isinstance(part.value, dict):
        return
    merged.add_positions(part, ("backup",))
    for key, value in part.value.items():
        below: object = backup.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            below.update(value)
        else:
            backup[key] = value


def _file(path: Path, extra: Mapping[Path, bytes], at: KeyPath = ()) -> Document:
    try:
        content = extra[path] if path in extra else path.read_bytes()
    except OSError as wrong:
        text = f"cannot be read: {wrong.strerror}"
        return Document(
            path,
            positions={(): SourcePosition(path)},
            problems=[Problem(SourcePosition(path), (), text)],
        )
    document = parse_document(path, content, at)
    document.positions.setdefault((), SourcePosition(path))
    if not isinstance(document.value, dict) and not document.problems:
        text = "expected a mapping of keys, for instance `cluster: hcb-lab`"
        document.problems.append(Problem(document.positions[()], (), text))
    return document


def _with_name(value: Any, name: str, document: Document, at: KeyPath) -> Any:
    """A mapping with its name put in; a name of its own has to be the same."""
    if isinstance(value, dict) and value.setdefault("name", name) != name:
        text = f"expected {name}, as the file or key is called"
        document.problems.append(problem_at(document, (*at, "name"), text, f"name: {name}"))
    return value


def fill_in(document: Document) -> None:
    """Puts in what a key's place already says: names, and the files of our own secrets."""
    values = document.value
    for kind in ("roles", "databases"):
        entries = values.get(kind)
        for name, value in entries.items() if isinstance(entries, dict) else ():
            _with_name(value, name, document, (kind, name))
    values.setdefault("tls", {})
    postgres = values.setdefault("postgres", {})
    if isinstance(postgres, dict):
        postgres.setdefault("replication", {})
    backup = values.get("backup")
    if isinstance(backup, dict):
        inherit_store(backup)
    for loc, file in DEFAULT_SECRET_FILES.items():
        mapping = values
        for part in loc[:-1]:
            mapping = mapping.get(part) if isinstance(mapping, dict) else None
        if (
            not isinstance(mapping, dict)
            or loc[-1] in mapping
            or mapping.get("cipher_type") == "none"
        ):
            continue
        position = problem_at(document, loc, "").position
        mapping[loc[-1]] = document.references[loc] = Reference("!file", (file,), position, loc)


def validate(document: Document, resolver: Resolver) -> Inventory:
    """The typed inventory; it keeps the resolver. Raises BadInventory with everything that is
    wrong."""
    value = document.value
    if not isinstance(value, dict):
        raise BadInventory(document.problems)
    document.problems = [
        c if c.example is not None else replace(c, example=example_line(c.path))
        for c in document.problems
    ]
    resolve_plain_text(document, resolver)
    context = {"folder": value["folder"], "resolver": resolver}
    inventory: Inventory | None = None
    failed, incomplete = False, set[str]()
    try:
        inventory = Inventory.model_validate(value, context=context)
    except ValidationError as wrong:
        document.problems += validation_problems(wrong, document)
        inventory, incomplete = partial_inventory(value, wrong, context)
        failed = True
    if inventory is not None:
        known_paths = {c.path for c in document.problems}
        document.problems += [
            rule_problem(document, loc, text, *example)
            for loc, text, *example in check_inventory(inventory)
            if loc not in known_paths and not is_affected(loc, incomplete)
        ]
    if document.problems or failed or inventory is None:
        raise BadInventory(document.problems)
    return _with_defaults(inventory)


def _with_defaults(inventory: Inventory) -> Inventory:
    """Defaults handed down, so that nobody has to look in two places."""
    ssh = inventory.ssh
    if ssh.known_hosts is None:
        ssh = ssh.model_copy(update={"known_hosts": inventory.secrets_folder / "known_hosts"})
    databases = {
        name: database.model_copy(
            update={
                "encoding": database.encoding or inventory.postgres.encoding,
                "locale": database.locale or inventory.postgres.locale,
            }
        )
        for name, database in inventory.databases.items()
    }
    roles = MappingProxyType(dict(access.complete_roles(inventory)))
    updates = {"ssh": ssh, "roles": roles, "databases": MappingProxyType(databases)}
    inventory = inventory.model_copy(update=updates)
    return inventory.model_copy(
        update={"host": _host_with_defaults(inventory)}
        | {"nodes": tuple(_node_with_defaults(node, inventory) for node in inventory.nodes)}
    )


def _host_with_defaults(inventory: Inventory) -> HostSpec:
    """SSH on the host is open to whom the cloud's firewall lets through; without one, to anyone."""
    if inventory.host.ssh_source_ips:
        return inventory.host
    ranges: tuple[IPv4Network | IPv6Network, ...] = ANY_NETWORK
    if inventory.hetzner:
        ranges = inventory.hetzner.firewall.ssh_source_ips
    return inventory.host.model_copy(update={"ssh_source_ips": ranges})


def _node_with_defaults(node: Node, inventory: Inventory) -> Node:
    def over(base: Any, own: Any) -> Any:
        return base.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})

    updates: dict[str, Any] = {
        "ssh": over(inventory.ssh, node.ssh),
        "machine": over(inventory.machine, node.machine),
    }
    if inventory.hetzner and node.address is None:
        for name in ("server_type", "location", "image"):
            updates[name] = getattr(node, name) or getattr(inventory.hetzner, name)
    return node.model_copy(update=updates)


def load(path: Path, resolver: Resolver | None = None) -> Inventory:
    """The inventory in this folder. Each of its references is resolved once; none that the
    `resolver` of an earlier load has resolved. Raises BadInventory with everything that is wrong.
    """
    try:
        return validate(read_documents(path), resolver or Resolver(path))
    except BadInventory as wrong:
        if any(problem.text.endswith(SECRETS_INIT_HINT) for problem in wrong.problems):
            wrong.next = f"pgprovision -i {path} secrets init"
        raise
