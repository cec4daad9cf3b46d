"""ca: the cluster's certificate authority, for clients, and its renewal in three steps."""

import typer

from pgprovision import report
from pgprovision.cli.options import options_of

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """The cluster's certificate authority."""


@app.command("show")
def show(context: typer.Context) -> None:
    """Print what clients verify servers with: sslmode=verify-full sslrootcert=FILE."""
    from pgprovision.inventory.loader.loader import load

    report.print_verbatim(load(options_of(context).inventory).tls.ca_certificate)


@app.command("renew")
def renew(context: typer.Context) -> None:
    """1 of 3: a new authority beside the old one, which goes on signing."""
    from pgprovision.operations import certificate_authority as authority

    authority.renew(authority.load_without_split_brain(options_of(context)))
    report.print_line(
        "two authorities are trusted, the old one signs\n"
        "  next: pgprovision up; clients get `pgprovision ca show`; then pgprovision ca switch"
    )


@app.command("switch")
def switch(context: typer.Context) -> None:
    """2 of 3, when every client has it: the new authority signs. Sessions stay."""
    from pgprovision.operations import certificate_authority as authority

    authority.switch(authority.load_without_split_brain(options_of(context)))
    report.print_line("the new authority signs\n  next: pgprovision up; then pgprovision ca retire")


@app.command("retire")
def retire(context: typer.Context) -> None:
    """3 of 3: the old authority is trusted no more."""
    from pgprovision.operations import certificate_authority as authority

    authority.retire(authority.load_without_split_brain(options_of(context)))
    report.print_line("one authority is trusted\n  next: pgprovision up")
