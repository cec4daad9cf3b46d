"""Cases of what a host's look shows of the system under PostgreSQL. One file, one case.

`look` is the answer to the resource's own question; `needs` answers the others, by a part of
their text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pgprovision.engine.model import Answer, Diff, Probe, Resource
from pgprovision.errors import Refused
from pgprovision.resources.postgres.configuration.settings_sizing import GB
from pgprovision.resources.postgres.server.huge_pages import HugePages
from pgprovision.resources.postgres.server.instance import Instance
from pgprovision.resources.postgres.server.kernel_parameters import (
    KernelParameters,
    TransparentHugePages,
    overcommit,
)
from pgprovision.resources.postgres.server.postmaster import PostmasterCheck
from pgprovision.resources.system.clock import Clock
from pgprovision.resources.system.daemon_restart import ConfigurationApplied
from pgprovision.resources.system.file_permissions import NotWorldReadable
from pgprovision.resources.system.sshd import SshDaemon
from pgprovision.resources.system.unattended_upgrades import HeldPackages, PendingUpgrades
from tests.support.covers import cases

CASES = sorted((Path(__file__).parents[1] / "cases" / "host").glob("*.yaml"))
NAMES = ("postgresql-15", "pgbackrest")
KERNEL = KernelParameters(on="db", memory=8 * GB)
WISHES: Mapping[str, Resource] = {
    "SshDaemon": SshDaemon(on="db", text="X11Forwarding no\nPermitRootLogin prohibit-password\n"),
    "KernelSettings": KERNEL,
    "TransparentHugePages": TransparentHugePages(on="db"),
    "HugePages": HugePages(on="db", instance=Instance()),
    "Clock": Clock(on="db"),
    "Reread": ConfigurationApplied(on="db", unit="systemd-journald.service", path="/etc/x.conf"),
    "Held": HeldPackages(on="db", names=NAMES),
    "Upgrades": PendingUpgrades(on="db", names=NAMES),
    "Postmaster": PostmasterCheck(on="db", instance=Instance()),
    "Closed": NotWorldReadable(on="db", folder="/etc/postgresql/15/main", files=("start.conf",)),
}


@dataclass(frozen=True)
class Seen:
    """One host's answers."""

    probe: Probe
    answer: Answer
    others: Mapping[str, str]

    def get(self, on: str, ask: Probe) -> Answer | None:
        if ask == self.probe:
            return self.answer
        texts = [text for part, text in self.others.items() if part in ask.text]
        return Answer(out=texts[0].encode()) if texts else None


def answer(look: Mapping[str, Any]) -> Answer:
    """`{live}` and `{kept}` stand for kernel settings as wished."""
    wished = KERNEL.desired_parameters
    live = "".join(f"/proc/sys/{n.replace('.', '/')}:{v}\n" for n, v in wished.items())
    kept = str(KERNEL.desired()["after a reboot"])
    out = look.get("out", "").replace("{live}", live).replace("{kept}", kept)
    return Answer(look.get("code", 0), out.encode(), look.get("err", "").encode())


@pytest.mark.parametrize("file", cases(CASES))
def test_host_case(file: Path) -> None:
    case = yaml.safe_load(file.read_text())
    wish = replace(WISHES[case["resource"]], **case.get("wish", {}))
    seen = Seen(wish.probe(), answer(case["look"]), case.get("needs", {}))
    resource = wish.resolved(seen)
    if refusal := case.get("refused"):
        with pytest.raises(Refused, match=refusal):
            resource.read(seen.answer)
        return
    before = resource.read(seen.answer)
    assert isinstance(before, Mapping)
    diff = Diff(before, resource.desired())
    actions = tuple(resource.change(diff)) if diff else ()
    assert list(diff.keys) == case["differs"]
    assert [action.why for action in actions] == case.get("actions", [])
    assert any(action.reconnects for action in actions) == case.get("reconnects", False)
    assert list(resource.notes(before)) == case.get("remarks", [])


@pytest.mark.parametrize("name", WISHES)
def test_change_when_the_host_is_not_there_yet_then_the_plan_can_be_made(name: str) -> None:
    wish = WISHES[name]
    assert all(action.why for action in wish.change(Diff(None, wish.desired())))


@pytest.mark.parametrize(
    ("memory", "huge_pages", "kbytes"),
    [
        (8 * GB, 0, (8 * GB * 4 // 5 + 2 * GB) // 1024),
        (8 * GB, 1024, (6 * GB * 4 // 5 + 2 * GB) // 1024),
    ],
)
def test_overcommit_when_pages_are_huge_then_they_are_not_counted(
    memory: int, huge_pages: int, kbytes: int
) -> None:
    assert overcommit(memory, huge_pages)["vm.overcommit_kbytes"] == kbytes


def test_overcommit_when_set_then_the_limit_comes_before_the_mode() -> None:
    assert list(overcommit(8 * GB, 0)) == ["vm.overcommit_kbytes", "vm.overcommit_memory"]
