"""explain: the plan as a runbook of shell, SQL and HTTP calls, for whoever does it by hand."""

import typer

from pgprovision import report
from pgprovision.cli.converge import Scope, node_tiers, select_nodes
from pgprovision.cli.options import Options
from pgprovision.engine.loop import CLOUD, converge, observe_only
from pgprovision.explain import CloudApi, HostShell, Locations, runbook
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.quote import sh
from pgprovision.run.observers import RunObservers
from pgprovision.run.targets import CONTROLLER, Targets


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(context: typer.Context, scope: Scope = "all") -> int:
    """Print the plan as a runbook to do by hand: shell, SQL and curl, runnable as printed.

    It is what `up` would send, from the same look; nothing is changed. Secrets are replaced by
    where they come from. Exit 1 where something differs.
    """
    options: Options = context.obj
    inventory = load(options.inventory)
    nodes = select_nodes(inventory, scope)
    with Targets(inventory) as targets:
        tiers = node_tiers(inventory, nodes)
        targets.limit_to(tiers)
        outcome = converge(tiers, targets, observe_only, RunObservers())
        places = _targets(inventory, targets)
    report.print_verbatim(runbook(inventory.cluster, tiers, outcome, places))
    for error in outcome.failed.values():
        report.print_error(str(error))
    return report.exit_code(outcome)


def _targets(inventory: Inventory, targets: Targets) -> Locations:
    """Where each target's block is to be pasted."""
    places: dict[str, HostShell | CloudApi] = {CONTROLLER: HostShell("on this machine")}
    if inventory.hetzner is not None:
        places[CLOUD] = CloudApi(inventory.hetzner.endpoint)
    for node in inventory.nodes:
        address = targets.address(node)
        places[node.name] = HostShell(_login(node, address) if address else "")
    return places


def _login(node: Node, address: str) -> str:
    """The command that opens a root shell on a node, with the inventory's key and known hosts."""
    ssh, argv = node.ssh, ["ssh"]
    argv += ["-F", str(ssh.config)] if ssh.config else []
    argv += ["-i", str(ssh.identity_file)] if ssh.identity_file else []
    argv += ["-J", ssh.jump] if ssh.jump else []
    argv += ["-p", str(ssh.port)] if ssh.port != 22 else []
    known = [f"UserKnownHostsFile={ssh.known_hosts}", f"HostKeyAlias={node.name}"]
    argv += [word for option in known for word in ("-o", option)]
    argv += [f"{ssh.user}@{address}"]
    return sh(*argv, *([] if ssh.user == "root" else ["-t", "sudo", "-i"]))
