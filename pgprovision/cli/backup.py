"""backup: one now, what there is, whether it is sound, another passphrase."""

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from pgprovision import report
from pgprovision.cli.options import Json, Options, Yes
from pgprovision.engine.loop import Approve
from pgprovision.engine.model import Change, Impact, Probe, Report, Tier
from pgprovision.errors import Unreachable
from pgprovision.inventory.loader.loader import load
from pgprovision.run.approval import impact_approval
from pgprovision.run.run import run

if TYPE_CHECKING:
    from pgprovision.run.targets import Targets

app = typer.Typer(no_args_is_help=True)

RepositoryOption = Annotated[
    int | None,
    typer.Option("--repo", help="One repository by its number; if not given, each.", min=1, max=2),
]


class BackupTypeOption(Enum):
    """pgBackRest's types of backup."""

    full = "full"
    diff = "diff"
    incr = "incr"


@app.callback()
def group() -> None:
    """Backups: one now, what there is, whether it is sound."""


@app.command("now")
def now(
    context: typer.Context,
    type: Annotated[
        BackupTypeOption,
        typer.Option(help="All, what changed since the full one, or since the last one."),
    ] = BackupTypeOption.diff,
    repository: RepositoryOption = None,
    yes: Yes = False,
    json: Json = False,
) -> int:
    """Take a backup of the primary, in the background, and show how far it is.

    It goes on when this command is cut off; the same command then attaches to it. One that a timer
    began is waited for.
    """
    from pgprovision.operations import backups

    options: Options = context.obj
    inventory = load(options.inventory)

    def wishes(targets: "Targets") -> Sequence[Tier]:
        return backups.backup_now(inventory, targets, type.value, repository)

    approve = impact_approval(Impact.NONE, yes=yes, quiet=json)
    return run("backup now", inventory, wishes, approve, json=json, wait=options.wait)


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> int:
    """Show every backup of every repository, with the WAL that is kept. Changes nothing."""
    from pgprovision.operations import backups
    from pgprovision.run.targets import Targets

    options: Options = context.obj
    inventory = load(options.inventory)
    backups.declared_backup(inventory)
    with Targets(inventory) as targets:
        targets.check_cloud()
        nodes = sorted(inventory.nodes, key=lambda node: not node.is_primary)
        node = next((node for node in nodes if targets.probe_succeeds(node, Probe("true"))), None)
        if node is None:
            raise Unreachable("no node answers", next="pgprovision status")
        contents = backups.repository_contents(inventory, targets, node.name)
    listing = backups.BackupList(node.name, contents)
    document = backups.as_json(inventory, listing)
    if json:
        report.print_json(document)
    else:
        report.show_backups(document)
    return 0 if listing.readable else 5


@app.command("verify")
def verify(context: typer.Context, repository: RepositoryOption = None, json: Json = False) -> int:
    """Look through the repositories: every file's checksum, manifests, gaps in the WAL. Exit 1
    where something is wrong.

    It reads all there is in them, in the background on the primary; the same command attaches.
    """
    from pgprovision.operations import backups

    options: Options = context.obj
    inventory = load(options.inventory)
    problems: list[str] = []

    def wishes(targets: "Targets") -> Sequence[Tier]:
        return backups.verify(inventory, targets, repository)

    def seen(outcome: Report) -> None:
        problems.extend(text for r, text in outcome.notes if r.kind == "verified repository")

    code = run(
        "backup verify",
        inventory,
        wishes,
        lambda changes: Impact.NONE,
        json=json,
        wait=options.wait,
        lock_hosts=False,
        on_success=seen,
    )
    if not json and code == 0:
        report.print_line(f"{len(problems)} wrong" if problems else "every repository is sound")
    return code or (1 if problems else 0)


@app.command("rotate-cipher")
def rotate_cipher(context: typer.Context, yes: Yes = False, json: Json = False) -> int:
    """Give the backups another passphrase: a second repository is filled, then takes over.

    Its full backup is looked through before the roles change. The former repository is kept for
    the time of retention, and both can be restored from; run after that, this command takes it out
    of the configuration. Cut off anywhere, the same command goes on.
    """
    from pgprovision.operations import rotate_passphrase as operation

    options: Options = context.obj
    inventory = load(options.inventory)
    step = operation.next_step(inventory, operation.utc_now())
    ask = impact_approval(Impact.RELOAD, yes=yes, quiet=json)

    def go(step: operation.RotationStep, approve: Approve, more: bool) -> int:
        def approved(changes: Sequence[Change]) -> Impact | None:
            answer = approve(changes)
            if answer is not None and step.pending is not None:
                step.pending.save()
            return answer

        return run(
            "backup rotate-cipher",
            step.inventory,
            lambda targets: operation.tiers(step, targets),
            approved,
            json=json,
            wait=options.wait,
            has_next_step=more,
        )

    code = go(step, ask, more=step.phase == "fill")
    if code == 0 and step.phase == "fill":
        step = operation.swap_step(load(options.inventory, inventory.resolver), operation.utc_now())
        if step.pending is not None:
            step.pending.save()
        code = go(step, lambda changes: Impact.RELOAD, more=False)
    if code == 0:
        report.print_note(operation.next_advice(step))
    return code
