"""An inventory's files as one document, and the document as one Inventory."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from pgprovision.inventory.loader.partial import concerns, salvaged
from pgprovision.inventory.loader.tags import MAKES, here
from pgprovision.inventory.loader.validation_errors import complaint, explained, masked
from pgprovision.inventory.loader.yaml_document import Document, Resolve, read
from pgprovision.inventory.problems import BadInventory, Complaint, Loc, Place
from pgprovision.inventory.rules import access
from pgprovision.inventory.rules.cluster import checked
from pgprovision.inventory.schema.backup import lend
from pgprovision.inventory.schema.cluster import ANYONE, Host, Inventory, Node
from pgprovision.inventory.schema.examples import line
from pgprovision.inventory.secret_files import DEFAULT_FILES
from pgprovision.inventory.tagged_text import Sourced

CLUSTER_FILE = "cluster.yml"
NODES = "nodes"
REPOSITORIES = "repositories.yml"


def documents(folder: Path, resolve: Resolve, extra: Mapping[Path, bytes]) -> Document:
    """All files of an inventory as one document; `extra` are files that are not written yet."""
    whole = _file(folder / CLUSTER_FILE, resolve, extra)
    for key in ("nodes", "folder"):
        if isinstance(whole.value, dict) and key in whole.value:
            del whole.value[key]
            text = "unknown key; each node is a file of its own, nodes/NAME.yml"
            whole.complaints.append(Complaint(whole.keys[(key,)], (key,), text))
    _lay_over(whole, folder / REPOSITORIES, resolve, extra)
    nodes: list[Any] = []
    whole.places[(NODES,)] = Place(folder / NODES)
    names = {path for path in (folder / NODES).glob("*.yml") if path.name[0] != "."}
    for path in sorted(names | {path for path in extra if path.parent == folder / NODES}):
        part = _file(path, resolve, extra)
        at: Loc = (NODES, len(nodes))
        whole.places |= {(*at, *loc): place for loc, place in part.places.items()}
        whole.keys |= {(*at, *loc): place for loc, place in part.keys.items()}
        whole.texts |= {(*at, *loc): text for loc, text in part.texts.items()}
        whole.complaints += [Complaint(c.place, (*at, *c.key), c.text) for c in part.complaints]
        nodes.append(_named(part.value, path.stem, whole, at))
    for stray in sorted((folder / NODES).glob("*.yaml")):
        whole.complaints.append(
            Complaint(Place(stray), (), f"not read; rename it {stray.stem}.yml")
        )
    if not nodes:
        text = "missing; expected a file nodes/NAME.yml with `role: primary` and `private_ip:`"
        whole.complaints.append(Complaint(Place(folder / NODES), (NODES,), text))
    if isinstance(whole.value, dict):
        whole.value[NODES] = nodes
        whole.value["folder"] = folder.absolute()
        complete(whole, resolve)
    return whole


def cluster_document(folder: Path, resolve: Resolve) -> Document:
    """What all nodes share, by itself."""
    return _file(folder / CLUSTER_FILE, resolve, {})


def _lay_over(whole: Document, path: Path, resolve: Resolve, extra: Mapping[Path, bytes]) -> None:
    """What `backup rotate-cipher` keeps in a file of its own, over `backup` of cluster.yml."""
    if path not in extra and not path.exists():
        return
    part = _file(path, resolve, extra)
    whole.complaints += [replace(c, key=("backup", *c.key)) for c in part.complaints]
    backup = whole.value.get("backup") if isinstance(whole.value, dict) else None
    if not isinstance(backup, dict) or not isinstance(part.value, dict):
        return
    for mine, theirs in ((whole.places, part.places), (whole.keys, part.keys)):
        mine |= {("backup", *loc): place for loc, place in theirs.items() if loc}
    whole.texts |= {("backup", *loc): text for loc, text in part.texts.items()}
    for key, value in part.value.items():
        below: object = backup.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            below.update(value)
        else:
            backup[key] = value


def _file(path: Path, resolve: Resolve, extra: Mapping[Path, bytes]) -> Document:
    try:
        content = extra[path] if path in extra else path.read_bytes()
    except OSError as wrong:
        text = f"cannot be read: {wrong.strerror}"
        return Document(
            path, places={(): Place(path)}, complaints=[Complaint(Place(path), (), text)]
        )
    document = read(path, content, resolve)
    document.places.setdefault((), Place(path))
    if not isinstance(document.value, dict) and not document.complaints:
        text = "expected a mapping of keys, for instance `cluster: hcb-lab`"
        document.complaints.append(Complaint(document.places[()], (), text))
    return document


def _named(value: Any, name: str, document: Document, at: Loc) -> Any:
    """A mapping with its name put in; a name of its own has to be the same."""
    if isinstance(value, dict) and value.setdefault("name", name) != name:
        text = f"expected {name}, as the file or key is called"
        document.complaints.append(complaint(document, (*at, "name"), text, f"name: {name}"))
    return value


def complete(document: Document, resolve: Resolve) -> None:
    """Puts in what a key's place already says: names, and the files of our own secrets."""
    whole = document.value
    for kind in ("roles", "databases"):
        entries = whole.get(kind)
        for name, value in entries.items() if isinstance(entries, dict) else ():
            _named(value, name, document, (kind, name))
    whole.setdefault("tls", {})
    postgres = whole.setdefault("postgres", {})
    if isinstance(postgres, dict):
        postgres.setdefault("replication", {})
    backup = whole.get("backup")
    if isinstance(backup, dict):
        lend(backup)
    for loc, file in DEFAULT_FILES.items():
        holder = whole
        for part in loc[:-1]:
            holder = holder.get(part) if isinstance(holder, dict) else None
        if not isinstance(holder, dict) or loc[-1] in holder or holder.get("cipher_type") == "none":
            continue
        try:
            holder[loc[-1]] = resolve("!file", file, loc)
        except ValueError as wrong:
            document.complaints.append(complaint(document, loc, str(wrong)))


def validated(document: Document) -> Inventory:
    """The typed inventory. Raises BadInventory with everything that is wrong."""
    value = document.value
    if not isinstance(value, dict):
        raise BadInventory(document.complaints)
    document.complaints = [
        c if c.example is not None else replace(c, example=line(c.key)) for c in document.complaints
    ]
    context = {"folder": value["folder"]}
    from_elsewhere = tuple(_sourced(value))
    inventory: Inventory | None = None
    failed, lacking = False, set[str]()
    try:
        inventory = Inventory.model_validate(value, context=context)
    except ValidationError as wrong:
        document.complaints += explained(wrong, document)
        inventory, lacking = salvaged(value, wrong, context)
        failed = True
    if inventory is not None:
        spoiled = {c.key for c in document.complaints}
        document.complaints += [
            complaint(document, loc, text, *example)
            for loc, text, *example in checked(inventory)
            if loc not in spoiled and not concerns(loc, lacking)
        ]
    if document.complaints or failed or inventory is None:
        raise BadInventory(masked(document, from_elsewhere))
    return _filled(inventory)


def _sourced(value: Any) -> Iterator[Sourced]:
    """Every text that was taken from elsewhere, also where no secret belongs."""
    if isinstance(value, Sourced):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _sourced(part)


def _filled(inventory: Inventory) -> Inventory:
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
    roles = MappingProxyType(dict(access.roles(inventory)))
    made = {"ssh": ssh, "roles": roles, "databases": MappingProxyType(databases)}
    inventory = inventory.model_copy(update=made)
    return inventory.model_copy(
        update={"host": _filled_host(inventory)}
        | {"nodes": tuple(_filled_node(node, inventory) for node in inventory.nodes)}
    )


def _filled_host(inventory: Inventory) -> Host:
    """SSH on the host is open to whom the cloud's firewall lets through; without one, to anyone."""
    if inventory.host.ssh_source_ips:
        return inventory.host
    ranges: tuple[IPv4Network | IPv6Network, ...] = ANYONE
    if inventory.hetzner:
        ranges = inventory.hetzner.firewall.ssh_source_ips
    return inventory.host.model_copy(update={"ssh_source_ips": ranges})


def _filled_node(node: Node, inventory: Inventory) -> Node:
    def over(base: Any, own: Any) -> Any:
        return base.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})

    made: dict[str, Any] = {
        "ssh": over(inventory.ssh, node.ssh),
        "machine": over(inventory.machine, node.machine),
    }
    if inventory.hetzner and node.address is None:
        for name in ("server_type", "location", "image"):
            made[name] = getattr(node, name) or getattr(inventory.hetzner, name)
    return node.model_copy(update=made)


def load(path: Path) -> Inventory:
    """The inventory in this folder. Raises BadInventory, an InventoryError, with all complaints."""
    try:
        return validated(documents(path, here(path), {}))
    except BadInventory as wrong:
        if any(complaint.text.endswith(MAKES) for complaint in wrong.complaints):
            wrong.next = f"pgprovision -i {path} secrets init"
        raise
