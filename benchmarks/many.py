"""How long a rerun takes with 500 databases, 2,000 roles and 5,000 lines of pg_hba.conf.

    make bench                               # in a lab of its own
    python benchmarks/many.py INVENTORY      # of a running cluster of the lab's

Makes a copy of the inventory beside it with all that in it, brings it up once, then times the rerun
that finds nothing: seconds in all, trips per host, and what the run itself took. With each the load
of this machine, on which the servers are, too.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pgprovision.inventory.edit.atomic_write import create_file
from pgprovision.inventory.edit.rewritable_secrets import random_password
from pgprovision.inventory.edit.secrets import generate_secrets

DATABASES, ROLES, LINES = 500, 2000, 5000


def many(folder: Path) -> None:
    """Writes them into an inventory's cluster.yml."""
    roles = "".join(
        f"  many_{n}: {{password: !file secrets/many_{n}.password}}\n" for n in range(ROLES)
    )
    databases = "".join(
        f"  many_{n}:\n    owner: many_{n}\n    access:\n"
        f"      read_only: {{group: readers_{n}, logins: [many_{n + DATABASES}]}}\n"
        for n in range(DATABASES)
    )
    lines = "".join(
        f"    - {{databases: [many_{n % DATABASES}], users: [many_{n % DATABASES}],"
        f" addresses: [10.{n // 250}.{n % 250}.0/24]}}\n"
        for n in range(LINES)
    )
    text = (folder / "cluster.yml").read_text()
    for key, more in (("\nroles:", roles), ("\ndatabases:", databases), ("\n  hba:", lines)):
        at = text.index("\n", text.index(key) + 1) + 1
        text = text[:at] + more + text[at:]
    (folder / "cluster.yml").write_text(text)
    for n in range(ROLES):
        file = folder / "secrets" / f"many_{n}.password"
        if not file.exists():
            create_file(file, f"{random_password()}\n".encode(), 0o600)
    generate_secrets(folder)


def run(folder: Path, *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "pgprovision.cli.app", "-i", str(folder), *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        found = json.loads(done.stdout or "{}")
        sys.exit(
            f"exit {done.returncode} {done.stderr}{found.get('failed')} {found.get('left')}"[:3000]
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    source = Path(sys.argv[1])
    folder = source.with_name(f"{source.name}-many")
    if not folder.exists():
        shutil.copytree(source, folder)
        many(folder)
    print(f"{DATABASES} databases, {ROLES} roles, {LINES} lines of hba; {os.cpu_count()} cores")
    first = run(folder, "up", "--yes")
    print(f"first run: {len(first['changes'])} changes in {first['seconds']:.1f} s{_load()}")
    for _ in range(3):
        began = time.monotonic()
        again = run(folder, "up", "--yes")
        assert not again["changes"], again["changes"][:3]
        took, trips = time.monotonic() - began, again["ssh_execs"]
        print(f"rerun: {took:.1f} s in all, {again['seconds']:.1f} s looking, {trips}{_load()}")


def _load() -> str:
    return f" (load {os.getloadavg()[0]:.1f})"


if __name__ == "__main__":
    main()
