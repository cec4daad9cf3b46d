"""Machine images: built once per user with mmdebstrap, shared by all labs, never written to.

An image is a folder that serves as the lower side of every machine's overlay. Its name holds a
key of what it was built from, so a change of the recipe makes a new image and old machines keep
theirs. It is built aside under a lock and renamed, so a killed build leaves nothing that counts.
"""

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from pgprovision.lab.command import LabNotFound, file_lock, run, write_atomically

SUITES = {"debian-12": "bookworm", "debian-13": "trixie"}

_PACKAGES = (
    "systemd,systemd-sysv,dbus,cloud-init,openssh-server,sudo,iproute2,iputils-ping,nftables,"
    "python3-minimal,ca-certificates,gnupg,procps,locales,netbase"
)

# What Hetzner's images have too: root logs in with the project's keys and there is no other
# account. The lab gives the machine its network from outside; without `disabled` cloud-init
# writes a competing configuration and the machine is unreachable.
_CLOUD_CONFIG = """\
datasource_list: [NoCloud, None]
network: {config: disabled}
locale: false
disable_root: false
users: []
"""

# Timers that would fight the first `apt-get install` for its lock, or do what a container cannot.
_MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "systemd-networkd.service",
    "systemd-networkd-wait-online.service",
    "systemd-resolved.service",
)


def cache_home() -> Path:
    """The user's cache: images and packages, kept when labs go."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "pgprovision"


def image_path(image: str) -> Path:
    """Where the image is or will be; raises LabNotFound for a name nobody builds."""
    if image not in SUITES:
        known = ", ".join(SUITES)
        raise LabNotFound(f"the lab has no image {image!r}; it builds {known}")
    recipe = [image, platform.machine(), _PACKAGES, _CLOUD_CONFIG, *_MASKED]
    key = hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:12]
    return cache_home() / "images" / f"{image}-{key}"


def ensure_image(image: str, log: Callable[[str], None]) -> Path:
    """The image's folder, built first if need be (under a minute)."""
    image_folder = image_path(image)
    if image_folder.is_dir():
        return image_folder
    with file_lock(image_folder.with_name(f".{image_folder.name}.lock")):
        if image_folder.is_dir():  # another builder was quicker
            return image_folder
        for abandoned in image_folder.parent.glob(f".{image_folder.name}.building-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        log(f"building image {image} in {image_folder} (once, about a minute)")
        building = Path(
            tempfile.mkdtemp(prefix=f".{image_folder.name}.building-", dir=image_folder.parent)
        )
        building.chmod(0o755)  # it becomes the machine's /
        _build(SUITES[image], building)
        building.rename(image_folder)
    return image_folder


def _build(suite: str, target: Path) -> None:
    # Namespaces of its own: all processes and mounts of the build go when this process does.
    run(
        *("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork"),
        *("--kill-child", "--mount-proc", "mmdebstrap", "--quiet", "--variant=minbase"),
        *("--skip=cleanup/apt/lists", f"--include={_PACKAGES}", suite, str(target)),
    )
    units = target / "etc/systemd/system"
    for unit in _MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    write_atomically(target / "etc/cloud/cloud.cfg.d/90_lab.cfg", _CLOUD_CONFIG)
    # No name server: names the lab knows are in /etc/hosts, all others fail at once.
    (target / "etc/resolv.conf").unlink(missing_ok=True)
    write_atomically(target / "etc/resolv.conf", "# the lab's machines have no name server\n")
    write_atomically(target / "etc/machine-id", "")
    for key in (target / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
