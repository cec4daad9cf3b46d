"""A spare host for drills: a machine of the lab that somebody else made and that holds nothing."""

import re
from functools import partial

from hcloud.images import Image
from hcloud.server_types import ServerType

from pgprovision.lab.process import wait_until
from tests.support.cli_user import Person

SPARE = "spare"
DATA = "/var/lib/postgresql/15/main"
KEY = "/etc/ssh/ssh_host_ed25519_key.pub"


def made(person: Person) -> str:
    """Its address, once it has booted and lets the person in."""
    key = (person.inventory / "secrets/id_ed25519.pub").read_text()
    answer = person.cloud().servers.create(
        SPARE, ServerType(name="ccx13"), Image(name="debian-12"), user_data="#cloud-config\n"
    )
    for action in (answer.action, *answer.next_actions):
        action.wait_until_finished(max_retries=3000)
    assert wait_until(partial(_booted, person), seconds=180)
    let_in = "install -d -m 700 /root/.ssh; cat >/root/.ssh/authorized_keys"
    person.shell(SPARE, let_in, key)
    assert answer.server.public_net is not None
    assert answer.server.public_net.ipv4 is not None
    return str(answer.server.public_net.ipv4.ip)


def _booted(person: Person) -> bool:
    return person.console(SPARE, "cloud-init status --wait").returncode == 0


def gone(person: Person) -> None:
    server = person.cloud().servers.get_by_name(SPARE)
    if server is not None:
        server.delete().wait_until_finished(max_retries=3000)


def cluster_name(person: Person) -> str:
    (found,) = re.findall(r"(?m)^cluster: (\S+)", (person.inventory / "cluster.yml").read_text())
    return str(found)


def drill_name(person: Person) -> str:
    return f"{cluster_name(person)}-drill"


def pin(person: Person) -> None:
    """As a person does who has read the host key on the console."""
    key = " ".join(person.shell(SPARE, f"cat {KEY}").split()[:2])
    file, name = person.inventory / "secrets/known_hosts", drill_name(person)
    others = [line for line in file.read_text().splitlines() if not line.startswith(name)]
    file.write_text("".join(f"{line}\n" for line in [*others, f"{name} {key}"]))


def emptied(person: Person) -> bool:
    """Nothing of a copy runs there, and no secret is left."""
    there = f"{DATA} /etc/pgbackrest/pgbackrest.conf /etc/pgprovision/claim.json"
    running = "pgrep -x postgres || systemctl is-active pgprovision-restore pgprovision-check"
    said = person.shell(SPARE, f"ls -d {there} 2>/dev/null; {running}", fails=True)
    return set(said.split()) <= {"inactive", "failed"}
