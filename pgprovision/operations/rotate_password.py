"""A new password for a role: made, kept beside the old one, set, proven; then the old one goes.

The new password is in the secret's file before anything is sent, and the old one beside it
(`.previous`) until a login with the new one was seen. So a run that was killed at any point is
finished by the same command, with the same password.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from pgprovision import report
from pgprovision.engine.model import Impact, Probe, Tier
from pgprovision.errors import InventoryError, Refused, Unreachable
from pgprovision.inventory.edit.atomic_write import replace_file, sync_folder
from pgprovision.inventory.edit.rewritable_secrets import random_password, secret_file
from pgprovision.inventory.rules.access import connectable_databases
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.inventory.topology import Topology
from pgprovision.resources.postgres.server.snapshot import ServerSnapshot
from pgprovision.run.approval import ShowPlan
from pgprovision.run.operation import Operation, Prepared, Run
from pgprovision.run.targets import Targets
from pgprovision.secret import Secret
from pgprovision.tasks import host, login_checks, postgres, replica
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.paths import snapshot


@dataclass
class RotatePassword(Operation):
    """`rotate ROLE`: another password for a role, or for one login of a group."""

    command: ClassVar[str] = "rotate"
    role: str
    rotation: "PasswordRotation | None" = field(default=None, init=False)
    """Which login's, once the server was asked."""

    def prepare(self, inventory: Inventory, targets: Targets) -> Prepared:
        server = _running_primary(inventory, targets)
        self.rotation = plan_rotation(inventory, self.role, server)
        reachable = [
            node for node in inventory.replicas if targets.probe_succeeds(node, Probe("true"))
        ]
        return Prepared(
            tiers=tiers(inventory, self.rotation, reachable), confirmation=ShowPlan(Impact.RELOAD)
        )

    def approved(self) -> None:
        if self.rotation is not None:
            self.rotation.begin()

    def finished(self, run: Run) -> int:
        rotation = self.rotation
        if rotation is not None and run.succeeded:
            rotation.finish()
            report.print_note(f"{rotation.role} logs in with the password in {rotation.file}")
        elif rotation is not None and rotation.previous.exists():
            report.print_note(
                f"not proven: the old password is kept in {rotation.previous}; the same command"
                " goes on with the new one"
            )
        return run.exit_code


def _running_primary(inventory: Inventory, targets: Targets) -> ServerSnapshot:
    primary, query = inventory.primary.name, snapshot(inventory)
    answers = targets[primary].observe((query.probe(),))
    server = query.running_server(answers.get(query.probe())) if isinstance(answers, dict) else None
    if server is None:
        raise Unreachable("no PostgreSQL runs there", where=primary, next="pgprovision up")
    return server


@dataclass(frozen=True)
class PasswordRotation:
    """One role's, under way or about to begin."""

    role: str
    file: Path
    password: Secret
    started: bool

    @property
    def previous(self) -> Path:
        return self.file.with_name(f"{self.file.name}.previous")

    def begin(self) -> None:
        """Keep the new password, the old one beside it."""
        if self.started:
            return
        self.previous.unlink(missing_ok=True)
        os.link(self.file, self.previous)
        replace_file(self.file, self.password.reveal() + b"\n", 0o600)

    def finish(self) -> None:
        """The new one was proven: forget the old one."""
        self.previous.unlink(missing_ok=True)
        sync_folder(self.file.parent)


def select_login(inventory: Inventory, name: str, server: ServerSnapshot) -> str:
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
    started = [login for login in sessions if _rotation_of(inventory, login).started]
    if not started and not idle:
        raise Refused(
            f"every login of {name} is in use: {_session_counts(sessions)}",
            done="nothing was changed",
            next="bring the application to one of them, then the same command again; or name the"
            " login: its open sessions stay, and new ones need the new password",
        )
    return (started or idle)[0]


def _rotation_of(inventory: Inventory, role: str) -> PasswordRotation:
    """The one that was begun, or a new one."""
    now = _password(inventory, role)
    unfinished = PasswordRotation(role, secret_file(inventory, now), now, started=True)
    if (
        unfinished.previous.exists()
        and unfinished.previous.read_bytes() != unfinished.file.read_bytes()
    ):
        return unfinished
    return PasswordRotation(role, unfinished.file, random_password(now.source), started=False)


def plan_rotation(inventory: Inventory, name: str, server: ServerSnapshot) -> PasswordRotation:
    """What `rotate NAME` means. Raises Refused where the password is kept elsewhere."""
    return _rotation_of(inventory, select_login(inventory, name, server))


def tiers(
    inventory: Inventory, current: PasswordRotation, reachable: Sequence[Node]
) -> tuple[Tier, ...]:
    """The role with its new password, whoever has it in a file, and logins that prove it: here,
    and from the replicas that can be asked. Raises Refused where no login can."""
    topology = Topology.declared(inventory)
    desired = PlanContext.declared(_with_new_password(inventory, current), topology.primary)
    if current.role == inventory.postgres.replication.role:
        standbys = [desired.at(node) for node in topology.standbys]
        files = tuple(file for standby in standbys for file in replica.passfile(standby))
        logins = tuple(map(login_checks.replication_login, standbys))
        role = tuple(postgres.replication_role(desired))
        identities = _identities(inventory, inventory.members)
        return (
            *identities,
            Tier("role", role),
            Tier("passfiles", files),
            Tier("login checks", logins),
        )
    database = next(connectable_databases(inventory, current.role), None)
    if database is None:
        raise Refused(
            f"{current.role} may connect to no database of the inventory: no login could prove it",
            done="nothing was changed",
            next=f"give it access to a database; or remove {current.file}, then: secrets init, up",
        )
    local_connection = login_checks.primary_conninfo(desired, "127.0.0.1", database)
    remote_logins = (
        login
        for node in reachable
        for login in login_checks.first_login(desired.at(node))
        if login.role == current.role
    )
    role = (postgres.declared_role(desired, desired.inventory.roles[current.role]),)
    logins = (
        login_checks.verified_login(desired, current.role, local_connection),
        *remote_logins,
    )
    identities = _identities(inventory, (topology.primary, *reachable))
    return *identities, Tier("role", role), Tier("login checks", logins)


def _identities(inventory: Inventory, nodes: Sequence[Node]) -> tuple[Tier, Tier]:
    """A password goes to no machine that is another's, and to no cluster with two histories."""
    contexts = [PlanContext.declared(inventory, node) for node in nodes]
    checks = [resource for context in contexts for resource in host.identity(context)]
    live = host.split_brain_check(contexts[0])
    return Tier("identity", tuple(checks)), Tier("split-brain check", tuple(live))


def _password(inventory: Inventory, role: str) -> Secret:
    replication = inventory.postgres.replication
    found = replication.password if role == replication.role else inventory.roles[role].password
    assert found is not None
    return found


def _with_new_password(inventory: Inventory, current: PasswordRotation) -> Inventory:
    """The inventory as it will be read once the new password is kept."""
    new = {"password": current.password}
    if current.role == inventory.postgres.replication.role:
        replication = inventory.postgres.replication.model_copy(update=new)
        postgres_spec = inventory.postgres.model_copy(update={"replication": replication})
        return inventory.model_copy(update={"postgres": postgres_spec})
    changed = {current.role: inventory.roles[current.role].model_copy(update=new)}
    return inventory.model_copy(update={"roles": MappingProxyType({**inventory.roles, **changed})})


def _session_counts(sessions: Mapping[str, int]) -> str:
    return ", ".join(f"{login} ({number} sessions)" for login, number in sessions.items())
