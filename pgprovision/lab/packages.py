"""The package cache: one apt-cacher-ng for all labs of a user, kept between labs.

apt-cacher-ng wants its folder to itself, so labs share one process. It listens on an address of
its own on the host that every lab's router knows. Each lab that needs it leaves a mark; the last
to go stops it. A mark counts only while its lab's router namespace stands, so what a killed lab
left does not keep the cache running.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pgprovision.lab.command import file_lock, succeeds, write_atomically
from pgprovision.lab.images import cache_home
from pgprovision.lab.links import lab_namespaces
from pgprovision.lab.network import CACHE_ADDRESS
from pgprovision.lab.ports import free_port, wait_for_port
from pgprovision.lab.process import Daemon

_FIRST_PORT = 3142
_CONFIG = """\
Port: {port}
BindAddress: {address}
CacheDir: {home}/cache
LogDir: {home}/log
SupportDir: /usr/lib/apt-cacher-ng
ForeGround: 1
VerboseLog: 0
ReportPage:
"""


@dataclass(frozen=True)
class PackageCache:
    """The cache in `home`, by default in the user's cache folder."""

    home: Path

    @classmethod
    def for_user(cls) -> "PackageCache":
        return cls(cache_home() / "packages")

    @property
    def daemon(self) -> Daemon:
        return Daemon(self.home / "apt-cacher-ng.pid", self.home / "apt-cacher-ng.log")

    @property
    def url(self) -> str:
        """What machines are given as their package proxy."""
        return f"http://{CACHE_ADDRESS}:{self._port()}/"

    def acquire(self, router: str) -> None:
        """Make it serve, and keep it serving for the lab with this router namespace."""
        with file_lock(self.home / "lock"):
            write_atomically(self.home / "users" / router, "")
            succeeds("ip", "addr", "add", f"{CACHE_ADDRESS}/32", "dev", "lo")
            if self.daemon.pid() is None:
                self._start()

    def release(self, router: str) -> None:
        """The lab needs it no more."""
        with file_lock(self.home / "lock"):
            (self.home / "users" / router).unlink(missing_ok=True)
            if not list(self._users()):
                self.daemon.stop()
            if not lab_namespaces():  # nor a lab with a cache folder of another user's
                succeeds("ip", "addr", "delete", f"{CACHE_ADDRESS}/32", "dev", "lo")

    def _users(self) -> Iterable[str]:
        existing = lab_namespaces()
        for user_file in (self.home / "users").glob("*"):
            if user_file.name in existing:
                yield user_file.name
            else:
                user_file.unlink()

    def _start(self) -> None:
        port = free_port(CACHE_ADDRESS, self._port())
        write_atomically(self.home / "port", str(port))
        for folder in ("conf", "cache", "log"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        config = _CONFIG.format(port=port, address=CACHE_ADDRESS, home=self.home)
        write_atomically(self.home / "conf" / "acng.conf", config)
        self.daemon.start(["apt-cacher-ng", "-c", str(self.home / "conf")])
        wait_for_port(CACHE_ADDRESS, port, self.daemon, "the package cache")

    def _port(self) -> int:
        path = self.home / "port"
        return int(path.read_text()) if path.exists() else _FIRST_PORT
