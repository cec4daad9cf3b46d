"""A new password for a role: made, kept beside the old one, set, proven; then the old one goes.

The new password is in the secret's file before anything is sent, and the old one beside it
(`.previous`) until a login with the new one was seen. So a run that was killed at any point is
finished by the same command, with the same password.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pgprovision.engine.model import Tier
from pgprovision.errors import InventoryError, Refused
from pgprovision.inventory.edit.atomic_write import sync, write_over
from pgprovision.inventory.edit.rewritable_secrets import file_of, password
from pgprovision.inventory.rules.access import databases_of
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.resources.postgres.catalog.login_check import ProvenLogin
from pgprovision.resources.postgres.server.snapshot import Server
from pgprovision.secret import Secret
from pgprovision.tasks import host, login_checks, postgres, replica


@dataclass(frozen=True)
class Rotation:
    """One role's, under way or about to begin."""

    role: str
    file: Path
    password: Secret
    begun: bool

    @property
    def previous(self) -> Path:
        return self.file.with_name(f"{self.file.name}.previous")

    def begin(self) -> None:
        """Keep the new password, the old one beside it."""
        if self.begun:
            return
        self.previous.unlink(missing_ok=True)
        os.link(self.file, self.previous)
        write_over(self.file, self.password.reveal() + b"\n", 0o600)

    def finish(self) -> None:
        """The new one was proven: forget the old one."""
        self.previous.unlink(missing_ok=True)
        sync(self.file.parent)


def chosen(inventory: Inventory, name: str, server: Server) -> str:
    """The role meant: itself, or of a group's logins the one that was begun or is not in use.

    Raises InventoryError, Refused.
    """
    if name == inventory.postgres.replication.role:
        return name
    logins = [role for role in inventory.roles.values() if name in role.member_of and role.password]
    role = inventory.roles.get(name)
    if role and role.password:
        return name
    if not logins:
        known = [n for n, r in inventory.roles.items() if r.password]
        raise InventoryError(
            f"{name} is neither a role with a password nor a group of such",
            next=f"one of: {', '.join([*known, inventory.postgres.replication.role])}",
        )
    sessions = {login.name: server.roles.get(login.name, {}).get("sessions", 0) for login in logins}
    idle = [login for login, number in sessions.items() if not number]
    begun = [login for login in sessions if _rotation(inventory, login).begun]
    if not begun and not idle:
        raise Refused(
            f"every login of {name} is in use: {_listed(sessions)}",
            done="nothing was touched",
            next="bring the application to one of them, then the same command again; or name the"
            " login: its open sessions stay, and new ones need the new password",
        )
    return (begun or idle)[0]


def _rotation(inventory: Inventory, role: str) -> Rotation:
    """The one that was begun, or a new one."""
    now = _password(inventory, role)
    found = Rotation(role, file_of(inventory, now), now, begun=True)
    if found.previous.exists() and found.previous.read_bytes() != found.file.read_bytes():
        return found
    return Rotation(role, found.file, Secret(password(), now.source), begun=False)


def rotation(inventory: Inventory, name: str, server: Server) -> Rotation:
    """What `rotate NAME` means. Raises Refused where the password is kept elsewhere."""
    return _rotation(inventory, chosen(inventory, name, server))


def tiers(inventory: Inventory, turn: Rotation, reachable: Sequence[Node]) -> tuple[Tier, ...]:
    """The role with its new password, whoever has it in a file, and logins that prove it: here,
    and from the replicas that can be asked. Raises Refused where no login can."""
    wished, primary = _with(inventory, turn), inventory.primary
    if turn.role == inventory.postgres.replication.role:
        replicas = inventory.replicas
        files = tuple(file for node in replicas for file in replica.passfile(wished, node))
        logins = tuple(login_checks.replication_login(wished, node) for node in replicas)
        role = tuple(postgres.replication_role(wished, primary))
        whose = _identities(inventory, inventory.members)
        return *whose, Tier("role", role), Tier("passfiles", files), Tier("proof", logins)
    database = next(databases_of(inventory, turn.role), None)
    if database is None:
        raise Refused(
            f"{turn.role} may connect to no database of the inventory: no login could prove it",
            done="nothing was touched",
            next=f"give it access to a database; or remove {turn.file}, then: secrets init, up",
        )
    here = login_checks.where(inventory, "127.0.0.1", database)
    seen = [wish for node in reachable for wish in login_checks.connections(wished, node)]
    there = [wish for wish in seen if isinstance(wish, ProvenLogin) and wish.role == turn.role]
    roles = tuple(wish for wish in postgres.roles(wished, primary) if wish.name == turn.role)
    logins = (login_checks.login(wished, primary, turn.role, here), *there)
    whose = _identities(inventory, (primary, *reachable))
    return *whose, Tier("role", roles), Tier("proof", logins)


def _identities(inventory: Inventory, nodes: Sequence[Node]) -> tuple[Tier, Tier]:
    """A password goes to no machine that is another's, and to no cluster with two histories."""
    wishes = [wish for node in nodes for wish in host.identity(inventory, node)]
    live = host.live_roles(inventory, inventory.primary)
    return Tier("identity", tuple(wishes)), Tier("live roles", tuple(live))


def _password(inventory: Inventory, role: str) -> Secret:
    replication = inventory.postgres.replication
    found = replication.password if role == replication.role else inventory.roles[role].password
    assert found is not None
    return found


def _with(inventory: Inventory, turn: Rotation) -> Inventory:
    """The inventory as it will be read once the new password is kept."""
    new = {"password": turn.password}
    if turn.role == inventory.postgres.replication.role:
        replication = inventory.postgres.replication.model_copy(update=new)
        wish = inventory.postgres.model_copy(update={"replication": replication})
        return inventory.model_copy(update={"postgres": wish})
    changed = {turn.role: inventory.roles[turn.role].model_copy(update=new)}
    return inventory.model_copy(update={"roles": MappingProxyType({**inventory.roles, **changed})})


def _listed(sessions: Mapping[str, int]) -> str:
    return ", ".join(f"{login} ({number} sessions)" for login, number in sessions.items())
