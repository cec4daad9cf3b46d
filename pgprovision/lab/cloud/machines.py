"""What each action does: to the machine (blocking, no lock held), then to the documents.

All work can be done twice: a restarted simulator begins an unfinished action anew.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pgprovision.lab.cloud import firewall_targets, primary_ips, private_interfaces
from pgprovision.lab.cloud.project import World
from pgprovision.lab.cloud.store import Doc
from pgprovision.lab.hypervisor import MachineSpec

Step = Callable[[World, Doc], None]


def _nothing(world: World, action: Doc) -> None:
    """Only time passes."""


@dataclass(frozen=True)
class Command:
    """`work` may raise HypervisorError; `done` or `failed` then run in a transaction."""

    work: Step = _nothing
    done: Step = _nothing
    failed: Step = _nothing


def _resource(action: Doc, kind: str) -> int:
    return next(int(r["id"]) for r in action["resources"] if r["type"] == kind)


def _server(world: World, action: Doc) -> Doc:
    return world.find("server", _resource(action, "server"))


def _spec(world: World, server: Doc) -> MachineSpec:
    """An address is empty for a server without one of its kind."""
    mine = [a for a in world.all("primary_ip") if a["assignee_id"] == server["id"]]
    return MachineSpec(
        id=server["id"],
        name=server["name"],
        image=server["image"],
        public_ipv4=next((a["ip"] for a in mine if a["type"] == "ipv4"), ""),
        authorized_keys=tuple(server["authorized_keys"]),
        user_data=server["user_data"],
        public_ipv6=next((a["ip"] for a in mine if a["type"] == "ipv6"), ""),
    )


def _firewall(world: World, action: Doc) -> None:
    server = _server(world, action)
    if server["made"]:
        rules = firewall_targets.rules_for(world, server["id"])
        world.hypervisor.firewall(server["id"], rules)


def _create(world: World, action: Doc) -> None:
    server = _server(world, action)
    world.hypervisor.create(_spec(world, server))


def _made(world: World, action: Doc) -> None:
    server = _server(world, action)
    server["made"] = True
    world.save("server", server)


def _start(world: World, action: Doc) -> None:
    """The firewall stands before the machine has power."""
    server = _server(world, action)
    if world.hypervisor.running(server["id"]):
        return
    _firewall(world, action)
    cards = [
        private_interfaces.for_machine(world, seat)
        for seat in private_interfaces.settled(world, server)
    ]
    world.hypervisor.start(server["id"], tuple(sorted(cards, key=lambda seat: seat.index)))


def _reset(world: World, action: Doc) -> None:
    """A machine without power starts like any other: its cards may have changed meanwhile."""
    server = _resource(action, "server")
    if world.hypervisor.running(server):
        world.hypervisor.reset(server)
    else:
        _start(world, action)


def _rebuild(world: World, action: Doc) -> None:
    server = _server(world, action)
    world.hypervisor.power_off(server["id"])
    world.hypervisor.rebuild(_spec(world, server))
    _start(world, action)


def _deleted(world: World, action: Doc) -> None:
    server = _server(world, action)
    firewall_targets.forget(world, server["id"])
    primary_ips.release(world, server["id"])
    world.remove("server", server)


def _plug(world: World, action: Doc) -> None:
    """A new network card, or other addresses on one; a machine without power gets it at start."""
    server = _server(world, action)
    seat = private_interfaces.of_server(server, _resource(action, "network"))
    if seat and server["made"] and world.hypervisor.running(server["id"]):
        world.hypervisor.attach(server["id"], private_interfaces.for_machine(world, seat))


def _unplug(world: World, action: Doc) -> None:
    server = _server(world, action)
    if server["made"] and world.hypervisor.running(server["id"]):
        world.hypervisor.detach(server["id"], _resource(action, "network"))


def _leave(world: World, action: Doc) -> None:
    server = _server(world, action)
    network = _resource(action, "network")
    server["private_net"] = [s for s in server["private_net"] if s["network"] != network]
    world.save("server", server)


def _mark(error: bool) -> Step:
    def step(world: World, action: Doc) -> None:
        server = _server(world, action)
        seat = private_interfaces.of_server(server, _resource(action, "network"))
        if seat:
            seat["error"] = error
            world.save("server", server)

    return step


def _machine(call: Callable[[World, int], None]) -> Command:
    return Command(lambda world, action: call(world, _resource(action, "server")))


COMMANDS = {
    "create_server": Command(_create, _made),
    "start_server": Command(_start),
    "stop_server": _machine(lambda world, ident: world.hypervisor.power_off(ident)),
    "shutdown_server": _machine(lambda world, ident: world.hypervisor.shutdown(ident)),
    "reboot_server": _machine(lambda world, ident: world.hypervisor.reboot(ident)),
    "reset_server": Command(_reset),
    "rebuild_server": Command(_rebuild),
    "delete_server": Command(
        lambda world, action: world.hypervisor.delete(_resource(action, "server")), _deleted
    ),
    "attach_to_network": Command(_plug, _mark(False), _leave),
    "change_alias_ips": Command(_plug, _mark(False), _mark(True)),
    "detach_from_network": Command(_unplug, _leave, _mark(True)),
    "apply_firewall": Command(_firewall),
    "remove_firewall": Command(_firewall),
}
NO_MACHINE = Command()
