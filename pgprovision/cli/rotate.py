"""rotate: a new password for a role, proven before the old one is forgotten."""

from typing import Annotated

import typer

from pgprovision.cli.options import Json, Yes, run


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
    from pgprovision.operations.rotate_password import RotatePassword

    return run(RotatePassword(role), context, yes=yes, json=json)
