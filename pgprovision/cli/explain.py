"""explain: the plan as a runbook of shell, SQL and HTTP calls, for whoever does it by hand."""

import typer

from pgprovision import report
from pgprovision.cli.converge import Scope, select, wishes
from pgprovision.cli.options import Options
from pgprovision.engine.loop import CLOUD, converge, look_only
from pgprovision.explain import Cloud, Machine, Places, runbook
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.quote import sh
from pgprovision.run.observers import Watchers
from pgprovision.run.targets import HERE, Targets


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(context: typer.Context, scope: Scope = "all") -> int:
    """Print the plan as a runbook to do by hand: shell, SQL and curl, runnable as printed.

    It is what `up` would send, from the same look; nothing is changed. Secrets are replaced by
    where they come from. Exit 1 where something differs.
    """
    options: Options = context.obj
    inventory = load(options.inventory)
    nodes = select(inventory, scope)
    with Targets(inventory) as targets:
        tiers = wishes(inventory, nodes)
        targets.only(tiers)
        outcome = converge(tiers, targets, look_only, Watchers())
        places = _places(inventory, targets)
    report.verbatim(runbook(inventory.cluster, tiers, outcome, places))
    for error in outcome.failed.values():
        report.say_error(str(error))
    return report.exit_code(outcome)


def _places(inventory: Inventory, targets: Targets) -> Places:
    """Where each target's block is to be pasted."""
    places: dict[str, Machine | Cloud] = {HERE: Machine("on this machine")}
    if inventory.hetzner is not None:
        places[CLOUD] = Cloud(inventory.hetzner.endpoint)
    for node in inventory.nodes:
        address = targets.address(node)
        places[node.name] = Machine(_login(node, address) if address else "")
    return places


def _login(node: Node, address: str) -> str:
    """The command that opens a root shell on a node, with the inventory's key and known hosts."""
    ssh, words = node.ssh, ["ssh"]
    words += ["-F", str(ssh.config)] if ssh.config else []
    words += ["-i", str(ssh.identity_file)] if ssh.identity_file else []
    words += ["-J", ssh.jump] if ssh.jump else []
    words += ["-p", str(ssh.port)] if ssh.port != 22 else []
    known = [f"UserKnownHostsFile={ssh.known_hosts}", f"HostKeyAlias={node.name}"]
    words += [word for option in known for word in ("-o", option)]
    words += [f"{ssh.user}@{address}"]
    return sh(*words, *([] if ssh.user == "root" else ["-t", "sudo", "-i"]))
