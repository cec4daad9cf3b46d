"""The plan as a runbook to do by hand, from the same look as the plan's."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pgprovision import report, tasks
from pgprovision.engine.loop import CLOUD, converge, observe_only
from pgprovision.engine.model import Report
from pgprovision.explain import CloudApi, HostShell, Locations, runbook
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory, Node
from pgprovision.quote import sh
from pgprovision.run.observers import RunObservers
from pgprovision.run.options import Options
from pgprovision.run.query import Query
from pgprovision.run.targets import CONTROLLER, Targets


@dataclass(frozen=True)
class Runbook:
    """What is to be done by hand, and what was seen for it."""

    text: str
    outcome: Report


@dataclass(frozen=True)
class Explain(Query[Runbook]):
    """`explain [SCOPE]`: what `up` would send. An API that is silent is a host that failed."""

    scope: str = "all"

    def look(self, options: Options) -> Runbook:
        inventory = load(options.inventory)
        tiers = tasks.tiers(inventory, inventory.select(self.scope), datetime.now(UTC))
        with Targets(inventory) as targets:
            targets.limit_to(tiers)
            outcome = converge(tiers, targets, observe_only, RunObservers())
            places = _locations(inventory, targets)
        return Runbook(runbook(inventory.cluster, tiers, outcome, places), outcome)

    def show(self, found: Runbook) -> None:
        report.print_verbatim(found.text)
        for error in found.outcome.failed.values():
            report.print_error(str(error))

    def exit_code(self, found: Runbook) -> int:
        return report.exit_code(found.outcome)


def _locations(inventory: Inventory, targets: Targets) -> Locations:
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
