"""Logins to the primary, checked from another node."""

from collections.abc import Iterator
from itertools import islice

from pgprovision.engine.model import Resource
from pgprovision.inventory.schema.cluster import HbaRuleSpec
from pgprovision.resources.postgres.catalog.login_check import VerifiedLogin
from pgprovision.resources.postgres.catalog.network_access_check import (
    CONNECT_TIMEOUT,
    NetworkAccessCheck,
)
from pgprovision.resources.postgres.conninfo import extend, verified_connection
from pgprovision.tasks import replica
from pgprovision.tasks.context import PlanContext
from pgprovision.tasks.paths import CLUSTER_CA


def network_access(context: PlanContext) -> Iterator[Resource]:
    """From a replica to the primary: the first declared user that may connect from here can, an
    unknown role cannot."""
    rule, user = next(_logins_from(context), (None, ""))
    yield NetworkAccessCheck(
        on=context.on,
        snapshot=context.snapshot,
        server=context.primary.name,
        conninfo=_remote_conninfo(context, rule),
        role=user,
    )
    yield from first_login(context)


def first_login(context: PlanContext) -> Iterator[VerifiedLogin]:
    """The first declared user that may connect from here logs in."""
    for rule, user in islice(_logins_from(context), 1):
        depends_on = f"{rule} {context.inventory.tls.ca_certificate}"
        yield verified_login(context, user, _remote_conninfo(context, rule), depends_on=depends_on)


def verified_login(
    context: PlanContext, role: str, connection: str, *, depends_on: str = ""
) -> VerifiedLogin:
    """`role` logs in with its password, from `node`."""
    return VerifiedLogin(
        on=context.on,
        snapshot=context.snapshot,
        server=context.primary.name,
        role=role,
        conninfo=extend(connection, user=role, connect_timeout=CONNECT_TIMEOUT),
        password=context.inventory.roles[role].password,
        depends_on=depends_on,
    )


def replication_login(context: PlanContext) -> VerifiedLogin:
    """The replication role logs in from a replica, with its passfile."""
    streaming = replica.upstream_conninfo(context)
    return VerifiedLogin(
        on=context.on,
        snapshot=context.snapshot,
        server=context.primary.name,
        role=context.inventory.postgres.replication.role,
        conninfo=extend(streaming, replication="true", connect_timeout=CONNECT_TIMEOUT),
    )


def primary_conninfo(context: PlanContext, address: str, database: str) -> str:
    """The primary at an address, verified by its name."""
    return verified_connection(
        host=context.primary.name,
        address=address,
        port=context.inventory.postgres.port,
        ca=CLUSTER_CA,
        dbname=database,
    )


def _remote_conninfo(context: PlanContext, rule: HbaRuleSpec | None) -> str:
    """The primary over the private network, a database that `rule` is for."""
    database = rule.databases[0] if rule else "postgres"
    return primary_conninfo(context, str(context.primary.private_ip), database)


def _logins_from(context: PlanContext) -> Iterator[tuple[HbaRuleSpec, str]]:
    for rule in context.inventory.postgres.hba:
        if any(context.node.private_ip in network for network in rule.addresses):
            for user in rule.users:
                if context.inventory.roles[user].password and context.inventory.roles[user].login:
                    yield rule, user
