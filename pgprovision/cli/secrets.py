"""secrets init: make the secrets an inventory names and nobody has made yet."""

import typer

from pgprovision import report
from pgprovision.cli.options import Options

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """The secrets an inventory names."""


@app.command("init")
def init(context: typer.Context) -> None:
    """Make every missing secret file and the cluster's CA. What exists is never touched."""
    from pgprovision.inventory.edit.secrets import generate_secrets

    options: Options = context.obj
    made = generate_secrets(options.inventory)
    for path in made:
        report.print_line(f"made {path}")
    report.print_line(
        f"{len(made)} made; keep a copy of the folder where the cluster's other secrets are kept: "
        "without the backup passphrase no backup can be read"
        if made
        else "every secret is there"
    )
