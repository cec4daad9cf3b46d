"""`pgprovision lab`: the try-it-out world on this machine."""

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pgprovision.lab.manager import Lab

app = typer.Typer(
    name="lab",
    help="Real machines behind a simulated Hetzner API, on this host.",
    no_args_is_help=True,
)

LabName = Annotated[str, typer.Option("--name", help="Which lab; they stand side by side.")]
InstallYes = Annotated[
    bool, typer.Option("--yes", "-y", help="Install host packages without asking.")
]

_BAD_INPUT, _REFUSED, _FAILED = 2, 3, 5


@app.command()
def up(name: LabName = "demo", yes: InstallYes = False) -> None:
    """Make the lab, or start what of it does not run. Can be repeated."""
    with _lab(name) as lab:
        _install(yes)
        lab.up(typer.echo)
        typer.echo(f"lab {name} is up; its files are in {lab.home}")
        for service in lab.services():
            typer.echo(f"  {service.purpose:<40} {service.address}")
        option = "" if name == "demo" else f" --name {name}"
        typer.echo(f'use it:  eval "$(pgprovision lab env{option})"')


@app.command()
def prepare(yes: InstallYes = False) -> None:
    """Install what a lab needs on this host and build its image; start nothing."""
    with _lab("demo"):
        from pgprovision.lab.images import ensure_image

        _install(yes)
        typer.echo(f"image: {ensure_image('debian-12', typer.echo)}")


@app.command()
def status(name: LabName = "demo") -> None:
    """List the lab's processes and machines."""
    with _lab(name) as lab:
        network = lab.config.network
        typer.echo(f"lab {name}: {'running' if lab.running else 'not running'}; {lab.home}")
        typer.echo(f"network {network.address_range}, router in namespace {network.router}")
        row = "{:<10} {:>8}  {:<44} {}"
        typer.echo(row.format("SERVICE", "PID", "ADDRESS", "FOR"))
        for s in lab.services():
            typer.echo(row.format(s.name, s.pid or "stopped", s.address, s.purpose))
        row = "{:<24} {:>8}  {:<16} {:<24} {}"
        typer.echo(row.format("MACHINE", "PID", "PUBLIC", "PRIVATE", "IMAGE"))
        for m in lab.machines():
            private = ", ".join(m.private_ipv4) or "-"
            typer.echo(row.format(m.name, m.pid or "off", m.public_ipv4, private, m.image))


@app.command()
def env(name: LabName = "demo") -> None:
    """Print shell exports for clients of the lab: API, storage."""
    with _lab(name) as lab:
        if not lab.running:
            typer.echo(f"lab {name} is not running; `pgprovision lab up` resumes it", err=True)
        for key, value in lab.env().items():
            typer.echo(f"export {key}={shlex.quote(value)}")


@app.command(context_settings={"ignore_unknown_options": True})
def ssh(
    server: Annotated[str, typer.Argument(help="The server's name.")],
    command: Annotated[list[str] | None, typer.Argument(help="Instead of a shell.")] = None,
    name: LabName = "demo",
) -> None:
    """Enter a server as root, through its console: no key needed, no firewall in the way."""
    with _lab(name) as lab:
        argv = lab.shell(server, _as_ssh(command))
        sys.stdout.flush()
        os.execvp(argv[0], argv)


@app.command()
def down(name: LabName = "demo") -> None:
    """Stop the machines and every process; `up` resumes."""
    with _lab(name) as lab:
        lab.down(typer.echo)
        typer.echo(f"lab {name} is down; `pgprovision lab up` resumes it")


@app.command()
def destroy(name: LabName = "demo") -> None:
    """Remove the lab: machines, networks, processes, files."""
    with _lab(name) as lab:
        from pgprovision.lab.images import cache_home

        lab.destroy(typer.echo)
        typer.echo(f"lab {name} is gone; images and packages stay in {cache_home()}")


@contextmanager
def _lab(name: str) -> "Iterator[Lab]":
    """The lab, on a host that can run one; its errors become one line and an exit code."""
    from pgprovision.lab import host
    from pgprovision.lab.command import LabError, LabNotFound, LabUnsupported
    from pgprovision.lab.manager import Lab

    codes = {LabNotFound: _BAD_INPUT, LabUnsupported: _REFUSED}
    try:
        host.check_host()
        yield Lab(name)
    except LabError as error:
        typer.echo(f"{error}", err=True)
        raise typer.Exit(codes.get(type(error), _FAILED)) from None


def _install(yes: bool) -> None:
    """Say what the host lacks and why, ask, and install it."""
    from pgprovision.lab import host
    from pgprovision.lab.command import LabUnsupported

    missing = host.missing_packages()
    if not missing:
        return
    typer.echo("the lab installs these packages on this host with apt-get:")
    for package in missing:
        typer.echo(f"  {package.name:<20} {package.why}")
    if not yes:
        if not sys.stdin.isatty():
            raise LabUnsupported("nobody to ask; `pgprovision lab up --yes` installs them")
        if not typer.confirm("install them?", default=True):
            raise LabUnsupported("nothing was installed; the lab cannot run without")
    host.install_packages(missing)


def _as_ssh(command: list[str] | None) -> list[str]:
    """As ssh(1) does it: the words joined, for the far side's shell to take apart."""
    return ["bash", "-c", " ".join(command)] if command else []
