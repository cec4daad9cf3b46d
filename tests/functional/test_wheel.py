"""The wheel, installed elsewhere, renders every template it ships."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.inventory_folders import LAB_ENVIRONMENT

CHECKOUT = Path(__file__).parent.parent.parent
SCRIPT = """
import json, shutil, sys
from datetime import UTC, datetime
from pathlib import Path

import pgprovision.render as rendering
from pgprovision.engine.model import resolve
from pgprovision.inventory.edit.add_node import NewNode, add_node
from pgprovision.inventory.edit.secrets import generate_secrets
from pgprovision.inventory.loader.loader import load
from pgprovision.tasks import tiers
from pgprovision.tasks.timer import ScheduledCommand

rendered = set()
inner = rendering._render

def noted(template, folder, values, reveal):
    rendered.add(template)
    return inner(template, folder, values, reveal)

class Nothing:
    def get(self, on, ask):
        return None

rendering._render = noted
package = Path(rendering.__file__).parent
shutil.copytree(package / "_inventories" / "lab", "lab")
folder = Path("lab")
generate_secrets(folder)
add_node(folder, NewNode(name="server-postgres-2"))
inventory = load(folder)
for tier in tiers(inventory, inventory.nodes, datetime.now(UTC)):
    for resource in tier.resources:
        resolve(resource, Nothing()).desired()
ScheduledCommand("watch", "lab", folder, ["/usr/bin/pgprovision", "watch"], "root", "daily").units()
print(json.dumps({
    "package": str(package),
    "shipped": sorted(path.name for path in rendering.packaged_templates().iterdir()),
    "rendered": sorted(rendered),
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the built wheel's content, and nothing of the checkout."""
    dist, target = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    run = [sys.executable, "-m"]
    build = [*run, "build", "--no-isolation", "--wheel", "--outdir", str(dist), str(CHECKOUT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = dist.glob("*.whl")
    install = [*run, "pip", "install", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    return target


def test_wheel_when_built_then_has_the_license(installed: Path) -> None:
    (info,) = installed.glob("pgprovision-*.dist-info")
    assert (info / "licenses/LICENSE").read_text() == (CHECKOUT / "LICENSE").read_text()
    metadata = (info / "METADATA").read_text().splitlines()
    assert "License-Expression: MIT" in metadata
    assert "License-File: LICENSE" in metadata


def test_wheel_installed_elsewhere_begins_inventories(installed: Path, tmp_path: Path) -> None:
    for kind in ("hetzner", "static", "vagrant", "lab"):
        words = ["-m", "pgprovision.cli.app", "init", f"for-{kind}", "--for", kind]
        environment = {**os.environ, "PYTHONPATH": str(installed)}
        subprocess.run([sys.executable, *words], cwd=tmp_path, env=environment, check=True)
        assert f"cluster: for-{kind}" in (tmp_path / f"for-{kind}/cluster.yml").read_text()


def test_wheel_installed_elsewhere_renders_every_template(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, **LAB_ENVIRONMENT, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["package"] == str(installed / "pgprovision")
    checkout = sorted(path.name for path in (CHECKOUT / "templates").iterdir())
    assert found["shipped"] == checkout
    assert found["rendered"] == checkout
