"""The way to a machine, before anything is sent on it."""

from pathlib import Path

import fabric
import paramiko
import pytest

from pgprovision.transport.ssh import SshEndpoint, new_connection

CONFIG = "Host db-1\n  ProxyJump me@second\nHost second\n  ProxyJump first:2222\n"


def hops(connection: fabric.Connection) -> list[fabric.Connection]:
    """The connection and every jump host before it."""
    found = [connection]
    while found[-1].gateway is not None:
        found.append(found[-1].gateway)
    return found


@pytest.mark.covers("S42")
@pytest.mark.parametrize(
    ("jump", "config", "names"),
    [
        (None, "", ["db-1"]),
        ("me@bastion", "", ["db-1", "bastion"]),
        (None, CONFIG, ["db-1", "second", "first"]),
    ],
)
def test_every_hop_when_on_the_way_accepts_no_new_key(
    tmp_path: Path, jump: str | None, config: str, names: list[str]
) -> None:
    (tmp_path / "config").write_text(config)
    found = hops(
        new_connection(
            SshEndpoint(node="db-1", host="db-1", jump_host=jump, ssh_config=tmp_path / "config")
        )
    )
    assert [hop.host for hop in found] == names
    assert {type(hop.client._policy) for hop in found} == {paramiko.RejectPolicy}
