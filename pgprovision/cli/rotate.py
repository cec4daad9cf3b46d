"""rotate: a new password for a role, proven before the old one is forgotten."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pgprovision import report
from pgprovision.cli.options import Json, Options, Yes
from pgprovision.engine.model import Change, Impact, Probe, Tier
from pgprovision.errors import Unreachable
from pgprovision.inventory.loader.loader import load
from pgprovision.run.approval import impact_approval
from pgprovision.run.run import run

if TYPE_CHECKING:
    from pgprovision.operations.rotate_password import PasswordRotation
    from pgprovision.run.targets import Targets


def register(app: typer.Typer) -> None:
    app.command("rotate")(rotate)


def rotate(
    context: typer.Context,
    role: Annotated[str, typer.Argument(help="A role, or the group of its logins.")],
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Give a role a new password: made, set, proven by a login; then the old one is forgotten.

    For a group with two logins the one that is not in use gets it; bring the application to that
    one, and rotate again. Cut off, the same command finishes it with the same password.
    """
    from pgprovision.operations import rotate_password as operation
    from pgprovision.tasks.paths import snapshot

    options: Options = context.obj
    inventory = load(options.inventory)
    primary, catalog = inventory.primary.name, snapshot(inventory)
    begun: list[PasswordRotation] = []
    ask = impact_approval(Impact.RELOAD, yes=yes, quiet=json)

    def wishes(targets: "Targets") -> Sequence[Tier]:
        seen = targets[primary].observe((catalog.probe(),))
        server = (
            catalog.running_server(seen.get(catalog.probe())) if isinstance(seen, dict) else None
        )
        if server is None:
            raise Unreachable("no PostgreSQL runs there", where=primary, next="pgprovision up")
        begun.append(operation.plan_rotation(inventory, role, server))
        reachable = [
            node for node in inventory.replicas if targets.probe_succeeds(node, Probe("true"))
        ]
        return operation.tiers(inventory, begun[0], reachable)

    def approve(changes: Sequence[Change]) -> Impact | None:
        answer = ask(changes)
        if answer is not None:
            begun[0].begin()
        return answer

    code = 5
    try:
        code = run("rotate", inventory, wishes, approve, json=json, wait=options.wait)
    finally:
        if begun and code == 0:
            begun[0].finish()
            report.print_note(f"{begun[0].role} logs in with the password in {begun[0].file}")
        elif begun and begun[0].previous.exists():
            report.print_note(
                f"not proven: the old password is kept in {begun[0].previous}; the same command"
                " goes on with the new one"
            )
    return code
