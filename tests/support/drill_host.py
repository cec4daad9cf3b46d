"""A spare host for drills: a machine of the lab that somebody else made and that holds nothing."""

import re
from functools import partial

from hcloud.images import Image
from hcloud.server_types import ServerType

from pgprovision.lab.process import wait_until
from tests.support.cli_user import CliUser

DRILL_HOST = "spare"
DATA_DIRECTORY = "/var/lib/postgresql/15/main"
HOST_KEY_FILE = "/etc/ssh/ssh_host_ed25519_key.pub"


def create_drill_host(person: CliUser) -> str:
    """Its address, once it has booted and lets the person in."""
    key = (person.inventory / "secrets/id_ed25519.pub").read_text()
    answer = person.cloud().servers.create(
        DRILL_HOST, ServerType(name="ccx13"), Image(name="debian-12"), user_data="#cloud-config\n"
    )
    for action in (answer.action, *answer.next_actions):
        action.wait_until_finished(max_retries=3000)
    assert wait_until(partial(_booted, person), seconds=180)
    let_in = "install -d -m 700 /root/.ssh; cat >/root/.ssh/authorized_keys"
    person.shell(DRILL_HOST, let_in, key)
    assert answer.server.public_net is not None
    assert answer.server.public_net.ipv4 is not None
    return str(answer.server.public_net.ipv4.ip)


def _booted(person: CliUser) -> bool:
    return person.console(DRILL_HOST, "cloud-init status --wait").returncode == 0


def delete_drill_host(person: CliUser) -> None:
    server = person.cloud().servers.get_by_name(DRILL_HOST)
    if server is not None:
        server.delete().wait_until_finished(max_retries=3000)


def cluster_name(person: CliUser) -> str:
    (name,) = re.findall(r"(?m)^cluster: (\S+)", (person.inventory / "cluster.yml").read_text())
    return str(name)


def drill_name(person: CliUser) -> str:
    return f"{cluster_name(person)}-drill"


def pin_host_key(person: CliUser) -> None:
    """As a person does who has read the host key on the console."""
    key = " ".join(person.shell(DRILL_HOST, f"cat {HOST_KEY_FILE}").split()[:2])
    file, name = person.inventory / "secrets/known_hosts", drill_name(person)
    others = [line for line in file.read_text().splitlines() if not line.startswith(name)]
    file.write_text("".join(f"{line}\n" for line in [*others, f"{name} {key}"]))


def is_clean(person: CliUser) -> bool:
    """Nothing of a copy runs there, and no secret is left."""
    paths = f"{DATA_DIRECTORY} /etc/pgbackrest/pgbackrest.conf /etc/pgprovision/claim.json"
    running = "pgrep -x postgres || systemctl is-active pgprovision-restore pgprovision-check"
    output = person.shell(DRILL_HOST, f"ls -d {paths} 2>/dev/null; {running}", fails=True)
    return set(output.split()) <= {"inactive", "failed"}
