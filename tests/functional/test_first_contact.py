"""From the first contact on: a real server gives up the host key that came as user data, wherever
the run is cut off; and a server that only a jump host may reach.
"""

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgprovision.engine.loop import converge
from pgprovision.engine.model import Action, Report, Tier
from pgprovision.errors import Refused
from pgprovision.inventory.loader.loader import load
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.lab.manager import Lab
from pgprovision.run.targets import Targets
from pgprovision.tasks import host
from pgprovision.tasks.cloud import host_key_rotation, server_tiers
from pgprovision.tasks.context import PlanContext
from tests.support.cli_user import CliUser, new_user
from tests.support.cloud_cluster import ActionRecorder, allow_restart

NODE = "keys-1"
STEPS = (
    "create a host key on",
    "pin keys-1's rotated host key",
    "remove the first host key from",
    "remove the first host key of",
)


class Killed(BaseException):
    """The controller dies."""


@pytest.fixture(scope="module")
def person(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliUser]:
    made = new_user(lab, tmp_path_factory.mktemp("keys"), "keys")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment.items():
            patch.setenv(name, value)
        yield made


def converged(inventory: Inventory, kill: str = "") -> Report:
    """Server, first boot and host keys, over connections of its own; killed after a step."""

    def stop(action: Action) -> None:
        if kill and action.why.startswith(kill):
            raise Killed

    nodes = inventory.nodes
    contexts = (PlanContext.declared(inventory, node) for node in nodes)
    booted = (found for context in contexts for found in host.first_boot(context))
    tiers = (*server_tiers(inventory, nodes), Tier("first boot", tuple(booted)))
    with Targets(inventory) as targets:
        return converge(
            (*tiers, host_key_rotation(inventory, nodes)),
            targets,
            allow_restart,
            ActionRecorder(stop),
        )


def served(person: CliUser, kinds: str = "rsa,ecdsa,ed25519") -> set[str]:
    """The types of host keys that sshd serves, once it serves one of these."""
    scan = f"until ssh-keyscan -t {kinds} 127.0.0.1 2>/dev/null; do sleep 0.2; done"
    found = person.shell(NODE, f"timeout 20 sh -c '{scan}'")
    return {line.split()[1] for line in found.splitlines() if line}


def pins(inventory: Inventory) -> list[str]:
    text = (inventory.secrets_folder / "known_hosts").read_text()
    return [" ".join(line.split()[:3]) for line in text.splitlines()]


@pytest.mark.covers("S43")
@pytest.mark.lab
def test_key_of_the_first_contact_is_given_up_though_the_run_is_killed_after_each_step(
    person: CliUser,
) -> None:
    inventory = load(person.inventory)
    for step in STEPS:
        with pytest.raises(Killed):
            converged(inventory, step)
    assert converged(inventory).changed == []
    assert served(person) == {"ssh-ed25519"}
    own = person.shell(NODE, "cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub")
    assert pins(inventory) == [f"{NODE} {own}"]
    assert list(Path(inventory.secrets_folder / "host_keys").iterdir()) == []
    user_data = person.shell(NODE, "cat /var/lib/cloud/instance/user-data.txt")
    assert "ecdsa_private" in user_data
    assert own not in user_data


@pytest.mark.covers("S43")
@pytest.mark.lab
def test_old_key_when_the_host_died_in_mid_step_is_given_up_to_the_end(
    person: CliUser,
) -> None:
    """As it is when the private half was removed and nothing after it happened."""
    inventory = load(person.inventory)
    assert converged(inventory).remaining == []
    folder, hosts = inventory.secrets_folder / "host_keys", inventory.secrets_folder / "known_hosts"
    make = "cd /etc/ssh; ssh-keygen -q -t ecdsa -N '' -f ssh_host_ecdsa_key; cat ssh_host_ecdsa_key"
    old = folder / NODE
    old.write_text(person.shell(NODE, make) + "\n")
    old.chmod(0o600)
    public = person.shell(NODE, "cat /etc/ssh/ssh_host_ecdsa_key.pub; systemctl reload ssh")
    with hosts.open("a") as file:
        file.write(f"{NODE} {public}\n")
    assert served(person, "ecdsa")
    person.shell(NODE, "rm /etc/ssh/ssh_host_ecdsa_key")
    assert converged(inventory).remaining == []
    assert served(person) == {"ssh-ed25519"}
    assert len(pins(inventory)) == 1
    assert not old.exists()


@pytest.mark.covers("row:A5")
@pytest.mark.lab
def test_server_that_only_a_jump_host_may_reach_is_made_over_it(
    person: CliUser, lab: Lab, tmp_path: Path
) -> None:
    bastion = load(person.inventory)
    converged(bastion)
    address = person.shell(NODE, "ip -4 -o addr show eth0 | awk '{ print $4 }'").partition("/")[0]
    behind = new_user(lab, tmp_path, "behind")
    behind.rewrite(
        "cluster.yml",
        {
            r'ssh_source_ips: \[0.0.0.0/0, "::/0"\]': f"ssh_source_ips: [{address}/32]",
            r"  # jump: .*": f"  jump: root@{address}",
        },
    )
    for name in ("id_ed25519", "id_ed25519.pub"):
        shutil.copy(bastion.secrets_folder / name, behind.inventory / "secrets" / name)
    inventory = load(behind.inventory)
    with pytest.raises(Refused, match=f"the host key of {address} is not known"):
        converged(inventory)
    pin = pins(bastion)[0].replace(NODE, address)
    known_hosts = inventory.secrets_folder / "known_hosts"
    known_hosts.write_text(known_hosts.read_text() + f"{pin}\n")
    assert converged(inventory).remaining == []
    assert any(line.startswith("behind-1 ssh-ed25519 ") for line in pins(inventory))
    with Targets(inventory) as targets:
        directly = targets.address(inventory.primary)
    with pytest.raises(OSError, match="timed out"):
        socket.create_connection((str(directly), 22), timeout=2)


@pytest.mark.covers("S41")
@pytest.mark.lab
def test_other_machine_at_the_new_address_is_refused_before_any_login(
    person: CliUser, lab: Lab, tmp_path: Path
) -> None:
    robbed = new_user(lab, tmp_path, "robbed")
    inventory = load(robbed.inventory)
    with Targets(inventory) as targets:
        converge(server_tiers(inventory, inventory.nodes), targets, allow_restart, ActionRecorder())
    key = "/etc/ssh/ssh_host_ecdsa_key"
    other = (
        f"until [ -f {key} ]; do sleep 0.1; done; rm {key}*; ssh-keygen -qt ecdsa -N '' -f {key}"
    )
    robbed.shell("robbed-1", f'timeout 60 sh -c "{other}"; systemctl is-system-running --wait || :')
    with pytest.raises(
        Refused, match="the host key of robbed-1 changed: expected SHA256:"
    ) as caught:
        converged(inventory)
    assert caught.value.state == "the connection ended before authentication"
    logins = robbed.shell("robbed-1", "journalctl -u ssh -o cat | grep -c 'Accepted' || :")
    assert logins == "0"
