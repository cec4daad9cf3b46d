"""schema: what may stand in an inventory, for editors."""

import typer

from pgprovision import report


def register(app: typer.Typer) -> None:
    app.command("schema")(schema)


def schema() -> None:
    """Print the inventory's JSON Schema: completion and checks in editors that read YAML.

    `init` puts it beside a new inventory; after an update of pgprovision, write it again. VS Code's
    YAML extension has to know the tags: "yaml.customTags": ["!env scalar", "!env mapping",
    "!file scalar", "!command sequence"].
    """
    from pgprovision.inventory.schema import json_schema as written

    report.print_verbatim(written.schema_text())
