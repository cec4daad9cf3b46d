"""init: a new inventory to fill in."""

from pathlib import Path
from typing import Annotated

import typer

from pgprovision import report
from pgprovision.inventory.edit.init import InventoryKind, create_inventory


def register(app: typer.Typer) -> None:
    app.command("init")(init)


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="NAME", help="The folder to make; the cluster is called so.")
    ],
    kind: Annotated[
        InventoryKind,
        typer.Option(
            "--for",
            help="The machines: made at Hetzner, existing hosts, Vagrant's, or the lab's.",
        ),
    ] = InventoryKind.hetzner,
) -> None:
    """Write an inventory to fill in: every key explained, checked as you type by editors.

    Nothing that exists is touched, and nothing is asked.
    """
    commands = create_inventory(folder, kind)
    report.print_line(f"{folder}: read cluster.yml and nodes/ once from top to bottom. Then:")
    for command in commands:
        report.print_line(f"  {command}")
