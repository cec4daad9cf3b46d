"""A machine's own layer: the cloud-init seed, and what the lab tells a machine before it boots."""

import json
import shutil
from pathlib import Path

from pgprovision.lab.command import write
from pgprovision.lab.hypervisor import MachineSpec
from pgprovision.lab.machines.machine_folder import Folder

_SEED = "var/lib/cloud/seed/nocloud"
_BY_LAB = "// put here by the lab\n"


def make(folder: Folder, spec: MachineSpec, lower: Path) -> None:
    """An empty layer with the seed for the distribution's cloud-init."""
    wipe(folder)
    folder.save_spec(spec, lower)
    for part in ("disk", "work", "root"):
        (folder.path / part).mkdir(parents=True)
    seed = folder.path / "disk" / _SEED
    meta = {
        "instance-id": f"{folder.name}-{spec.name}",
        "local-hostname": spec.name,
        "public-keys": list(spec.authorized_keys),
    }
    write(seed / "meta-data", json.dumps(meta, indent=1), mode=0o600)  # JSON is YAML
    write(seed / "user-data", spec.user_data or "#cloud-config\n{}\n", mode=0o600)


def tell(folder: Folder) -> None:
    """Names and the package cache, written at every boot: both may have moved with the lab."""
    root, lower, site = folder.path / "disk", folder.lower(), folder.site
    own = f"127.0.1.1 {folder.spec().name}"
    names = [own, *(f"{address} {name}" for address, name in site.hosts)]
    _add_lines(root, lower, "etc/hosts", names)
    # Where user data says `manage_etc_hosts`, cloud-init writes the file from this template.
    _add_lines(root, lower, "etc/cloud/templates/hosts.debian.tmpl", names[1:])
    proxy = root / "etc/apt/apt.conf.d/90lab-package-cache"
    if site.package_proxy:
        direct = "".join(f'Acquire::http::Proxy::{own} "DIRECT";\n' for own, _ in site.hosts)
        write(proxy, f'{_BY_LAB}Acquire::http::Proxy "{site.package_proxy}";\n{direct}')


def wipe(folder: Folder) -> None:
    """Remove disk and seed; cards and firewall stay, they belong to the server, not the disk."""
    for part in ("disk", "work", "root"):
        if (folder.path / part).exists():
            shutil.rmtree(folder.path / part)


def _add_lines(root: Path, lower: Path, name: str, lines: list[str]) -> None:
    """Keep the machine's file, or the image's, and see that these lines are in it."""
    mine, image = root / name, lower / name
    text = (mine if mine.exists() else image).read_text() if mine.exists() or image.exists() else ""
    missing = [line for line in lines if line not in text.splitlines()]
    if missing:
        head = text if text.endswith("\n") or not text else text + "\n"
        write(mine, head + "\n".join(missing) + "\n")
