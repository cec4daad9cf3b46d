"""What each action does: to the machine (blocking, no lock held), then to the documents.

All work can be done twice: a restarted simulator begins an unfinished action again.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pgprovision.lab.cloud import firewall_targets, primary_ips, private_interfaces
from pgprovision.lab.cloud.project import CloudProject
from pgprovision.lab.cloud.store import Doc
from pgprovision.lab.hypervisor import MachineSpec

ActionStep = Callable[[CloudProject, Doc], None]


def _nothing(project: CloudProject, action: Doc) -> None:
    """Only time passes."""


@dataclass(frozen=True)
class ActionHandler:
    """`run` may raise HypervisorError; `on_success` or `on_failure` then run in a transaction."""

    run: ActionStep = _nothing
    on_success: ActionStep = _nothing
    on_failure: ActionStep = _nothing


def _resource(action: Doc, kind: str) -> int:
    return next(int(r["id"]) for r in action["resources"] if r["type"] == kind)


def _server(project: CloudProject, action: Doc) -> Doc:
    return project.find("server", _resource(action, "server"))


def _spec(project: CloudProject, server: Doc) -> MachineSpec:
    """An address is empty for a server without one of its kind."""
    addresses = [a for a in project.list_all("primary_ip") if a["assignee_id"] == server["id"]]
    return MachineSpec(
        id=server["id"],
        name=server["name"],
        image=server["image"],
        public_ipv4=next((a["ip"] for a in addresses if a["type"] == "ipv4"), ""),
        authorized_keys=tuple(server["authorized_keys"]),
        user_data=server["user_data"],
        public_ipv6=next((a["ip"] for a in addresses if a["type"] == "ipv6"), ""),
    )


def _firewall(project: CloudProject, action: Doc) -> None:
    server = _server(project, action)
    if server["made"]:
        rules = firewall_targets.rules_for(project, server["id"])
        project.hypervisor.set_firewall(server["id"], rules)


def _create(project: CloudProject, action: Doc) -> None:
    server = _server(project, action)
    project.hypervisor.create(_spec(project, server))


def _mark_made(project: CloudProject, action: Doc) -> None:
    server = _server(project, action)
    server["made"] = True
    project.save("server", server)


def _start(project: CloudProject, action: Doc) -> None:
    """The firewall stands before the machine has power."""
    server = _server(project, action)
    if project.hypervisor.is_running(server["id"]):
        return
    _firewall(project, action)
    interfaces = [
        private_interfaces.as_private_interface(project, interface)
        for interface in private_interfaces.interfaces_present(project, server)
    ]
    project.hypervisor.start(server["id"], tuple(sorted(interfaces, key=lambda seat: seat.index)))


def _reset(project: CloudProject, action: Doc) -> None:
    """A machine without power starts like any other: its cards may have changed meanwhile."""
    server = _resource(action, "server")
    if project.hypervisor.is_running(server):
        project.hypervisor.reset(server)
    else:
        _start(project, action)


def _rebuild(project: CloudProject, action: Doc) -> None:
    server = _server(project, action)
    project.hypervisor.power_off(server["id"])
    project.hypervisor.rebuild(_spec(project, server))
    _start(project, action)


def _deleted(project: CloudProject, action: Doc) -> None:
    server = _server(project, action)
    firewall_targets.remove_server(project, server["id"])
    primary_ips.release_all(project, server["id"])
    project.remove("server", server)


def _attach(project: CloudProject, action: Doc) -> None:
    """A new network card, or other addresses on one; a machine without power gets it at start."""
    server = _server(project, action)
    interface = private_interfaces.interface_of(server, _resource(action, "network"))
    if interface and server["made"] and project.hypervisor.is_running(server["id"]):
        project.hypervisor.attach(
            server["id"], private_interfaces.as_private_interface(project, interface)
        )


def _detach(project: CloudProject, action: Doc) -> None:
    server = _server(project, action)
    if server["made"] and project.hypervisor.is_running(server["id"]):
        project.hypervisor.detach(server["id"], _resource(action, "network"))


def _remove_interface(project: CloudProject, action: Doc) -> None:
    server = _server(project, action)
    network = _resource(action, "network")
    server["private_net"] = [s for s in server["private_net"] if s["network"] != network]
    project.save("server", server)


def _set_interface_error(error: bool) -> ActionStep:
    def step(project: CloudProject, action: Doc) -> None:
        server = _server(project, action)
        interface = private_interfaces.interface_of(server, _resource(action, "network"))
        if interface:
            interface["error"] = error
            project.save("server", server)

    return step


def _machine_command(call: Callable[[CloudProject, int], None]) -> ActionHandler:
    return ActionHandler(lambda world, action: call(world, _resource(action, "server")))


ACTION_HANDLERS = {
    "create_server": ActionHandler(_create, _mark_made),
    "start_server": ActionHandler(_start),
    "stop_server": _machine_command(lambda world, ident: world.hypervisor.power_off(ident)),
    "shutdown_server": _machine_command(lambda world, ident: world.hypervisor.shutdown(ident)),
    "reboot_server": _machine_command(lambda world, ident: world.hypervisor.reboot(ident)),
    "reset_server": ActionHandler(_reset),
    "rebuild_server": ActionHandler(_rebuild),
    "delete_server": ActionHandler(
        lambda world, action: world.hypervisor.delete(_resource(action, "server")), _deleted
    ),
    "attach_to_network": ActionHandler(_attach, _set_interface_error(False), _remove_interface),
    "change_alias_ips": ActionHandler(
        _attach, _set_interface_error(False), _set_interface_error(True)
    ),
    "detach_from_network": ActionHandler(_detach, _remove_interface, _set_interface_error(True)),
    "apply_firewall": ActionHandler(_firewall),
    "remove_firewall": ActionHandler(_firewall),
}
NO_OP = ActionHandler()
