"""A machine's own layer: the cloud-init seed, and what the lab tells a machine before it boots."""

import json
import shutil
from pathlib import Path

from pgprovision.lab.command import write_atomically
from pgprovision.lab.hypervisor import MachineSpec
from pgprovision.lab.machines.machine_folder import MachineFolder

_SEED = "var/lib/cloud/seed/nocloud"
_LAB_COMMENT = "// put here by the lab\n"


def create_disk(folder: MachineFolder, spec: MachineSpec, lower: Path) -> None:
    """An empty layer with the seed for the distribution's cloud-init."""
    remove_disk(folder)
    folder.save_spec(spec, lower)
    for part in ("disk", "work", "root"):
        (folder.path / part).mkdir(parents=True)
    seed = folder.path / "disk" / _SEED
    meta = {
        "instance-id": f"{folder.name}-{spec.name}",
        "local-hostname": spec.name,
        "public-keys": list(spec.authorized_keys),
    }
    write_atomically(seed / "meta-data", json.dumps(meta, indent=1), mode=0o600)  # JSON is YAML
    write_atomically(seed / "user-data", spec.user_data or "#cloud-config\n{}\n", mode=0o600)


def write_boot_files(folder: MachineFolder) -> None:
    """Names and the package cache, written at every boot: both may have moved with the lab."""
    root, lower, environment = folder.path / "disk", folder.image_folder(), folder.environment
    own = f"127.0.1.1 {folder.spec().name}"
    names = [own, *(f"{address} {name}" for address, name in environment.hosts)]
    _add_lines(root, lower, "etc/hosts", names)
    # Where user data says `manage_etc_hosts`, cloud-init writes the file from this template.
    _add_lines(root, lower, "etc/cloud/templates/hosts.debian.tmpl", names[1:])
    proxy = root / "etc/apt/apt.conf.d/90lab-package-cache"
    if environment.package_proxy:
        direct = "".join(f'Acquire::http::Proxy::{own} "DIRECT";\n' for own, _ in environment.hosts)
        write_atomically(
            proxy, f'{_LAB_COMMENT}Acquire::http::Proxy "{environment.package_proxy}";\n{direct}'
        )


def remove_disk(folder: MachineFolder) -> None:
    """Remove disk and seed; cards and firewall stay, they belong to the server, not the disk."""
    for part in ("disk", "work", "root"):
        if (folder.path / part).exists():
            shutil.rmtree(folder.path / part)


def _add_lines(root: Path, lower: Path, name: str, lines: list[str]) -> None:
    """Keep the machine's file, or the image's, and see that these lines are in it."""
    machine_file, image = root / name, lower / name
    text = (
        (machine_file if machine_file.exists() else image).read_text()
        if machine_file.exists() or image.exists()
        else ""
    )
    missing = [line for line in lines if line not in text.splitlines()]
    if missing:
        head = text if text.endswith("\n") or not text else text + "\n"
        write_atomically(machine_file, head + "\n".join(missing) + "\n")
