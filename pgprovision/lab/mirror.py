"""A package repository in PGDG's shape, signed with a key of its own, made of Debian packages.

It has what PGDG has and Debian 12 has not: PostgreSQL 15 under PGDG's version numbers, and Debian
13's pgBackRest, which runs unchanged on Debian 12. Built once per user, below the images.
"""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

from pgprovision.lab.command import file_lock, run
from pgprovision.lab.images import SUITES, cache_home, ensure_image

IMAGE, NEWER_SUITE = "debian-12", "trixie"
SUITE = f"{SUITES[IMAGE]}-pgdg"
SERVER_PACKAGES = ("postgresql-15", "postgresql-client-15")
BACKUP_PACKAGE = "pgbackrest"
# What its Debian 13 package wants, by the names of Debian 12.
_BACKUP_NEEDS = (
    "libbz2-1.0, libc6, liblz4-1, libpq5, libssh2-1, libssl3, libxml2, libzstd1, perl,"
    " postgresql-common, zlib1g"
)
_RECIPE = "1"  # to be counted up with every change of what is built


def ensure_mirror(proxy: str, log: Callable[[str], None]) -> Path:
    """The mirror's folder; `key.asc` in it is the key. `proxy`: the package cache's URL."""
    final = cache_home() / "mirror" / f"{SUITE}-{_RECIPE}"
    with file_lock(final.with_name(f".{final.name}.lock")):
        if not final.is_dir():
            log(f"building the package mirror in {final} (once)")
            with tempfile.TemporaryDirectory(prefix=".mirror-", dir=final.parent) as scratch:
                building = Path(scratch) / "built"
                _build(Path(scratch), building, proxy, ensure_image(IMAGE, log))
                building.chmod(0o755)
                building.rename(final)
    return final


def _build(scratch: Path, mirror: Path, proxy: str, image: Path) -> None:
    pool = mirror / "pool"
    pool.mkdir(parents=True)
    sources = (image / "etc/apt/sources.list").read_text()
    for deb in _download(scratch / "server", sources, proxy, SERVER_PACKAGES):
        _repack(deb, pool, {})
    newer = sources.replace(SUITES[IMAGE], NEWER_SUITE)
    for deb in _download(scratch / "backup", newer, proxy, (BACKUP_PACKAGE,)):
        _repack(deb, pool, {"Depends": _BACKUP_NEEDS})
    binaries = mirror / "dists" / SUITE / "main" / "binary-amd64"
    binaries.mkdir(parents=True)
    (binaries / "Packages").write_text("\n".join(map(_stanza, sorted(pool.glob("*.deb")))))
    keys = scratch / "keys"
    keys.mkdir(mode=0o700)
    sign_repository(mirror, keys)


def sign_repository(mirror: Path, keys: Path, valid_seconds: int = 10 * 365 * 86400) -> None:
    """Writes InRelease and key.asc again. `keys`: an empty folder for a new key."""
    gpg = ("gpg", "--homedir", str(keys), "--batch", "--quiet", "--yes", "--passphrase", "")
    try:
        run(*gpg, "--quick-generate-key", "A mirror of the lab's", "ed25519", "sign", "never")
        (mirror / "key.asc").write_text(run(*gpg, "--armor", "--export"))
        suite = mirror / "dists" / SUITE
        signed = run(*gpg, "--clearsign", stdin=_release(suite, valid_seconds))
        (suite / "InRelease").write_text(signed)
    finally:
        run("gpgconf", "--homedir", str(keys), "--kill", "all")


def _download(folder: Path, sources: str, proxy: str, names: tuple[str, ...]) -> Iterator[Path]:
    for part in ("lists/partial", "archives/partial", "debs"):
        (folder / part).mkdir(parents=True)
    (folder / "sources.list").write_text(sources)
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": folder,
        "Acquire::http::Proxy": proxy,
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
    }
    arguments = [word for option, value in options.items() for word in ("-o", f"{option}={value}")]
    run("apt-get", "-q", *arguments, "update")
    run("env", "-C", str(folder / "debs"), "apt-get", "-q", *arguments, "download", *names)
    yield from (folder / "debs").glob("*.deb")


def _repack(deb: Path, pool: Path, fields: dict[str, str]) -> None:
    """The same package under a version number as PGDG gives them."""
    tree = deb.with_suffix("")
    run("dpkg-deb", "--raw-extract", str(deb), str(tree))
    control = tree / "DEBIAN" / "control"
    text = re.sub(r"(?m)^(Version: [^-\n]*).*", r"\1-1.pgdg12+1", control.read_text())
    for name, value in fields.items():
        text = re.sub(rf"(?m)^{name}: .*", f"{name}: {value}", text)
    control.write_text(text)
    run("dpkg-deb", "--build", "--root-owner-group", "-Zgzip", "-z1", str(tree), str(pool))
    shutil.rmtree(tree)


def _stanza(deb: Path) -> str:
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    where = f"Filename: pool/{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"
    return run("dpkg-deb", "--field", str(deb)) + where


def _release(suite: Path, valid_seconds: int) -> str:
    index = suite / "main" / "binary-amd64" / "Packages"
    now = index.stat().st_mtime
    digest = hashlib.sha256(index.read_bytes()).hexdigest()
    return (
        f"Origin: apt.postgresql.org\nLabel: PostgreSQL for Debian/Ubuntu repository\n"
        f"Suite: {SUITE}\nCodename: {SUITE}\nComponents: main\nArchitectures: amd64\n"
        f"Date: {formatdate(now, usegmt=True)}\n"
        f"Valid-Until: {formatdate(now + valid_seconds, usegmt=True)}\nSHA256:\n"
        f" {digest} {index.stat().st_size} {index.relative_to(suite)}\n"
    )
