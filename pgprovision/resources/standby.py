"""A standby's data directory: a base backup through its slot, taken by a named transient unit.

The unit outlives the connection: a rerun finds it by its name and waits for it instead of starting
a twin. A note lies beside the directory from before the first byte until `standby.signal` is in
place, so a copy that was cut off is recognised and set aside.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from pgprovision.errors import Refused
from pgprovision.model import Answer, Ask, Diff, Do, Facts, Need, Resource, State, Waiting
from pgprovision.quote import conninfo, sh
from pgprovision.resources.cluster import note, set_aside
from pgprovision.resources.identity import system_identifier
from pgprovision.resources.instance import Instance, as_postgres

UNIT = "pgprovision-base-backup.service"
HOURS = 24 * 3600.0  # a base backup may take long; progress is shown, the unit lives on its own


@dataclass(frozen=True, kw_only=True)
class Standby(Resource):
    """A streaming standby of `primary` (the target name), reached as `conninfo` says."""

    kind: ClassVar[str] = "standby"
    instance: Instance
    primary: str
    primary_conninfo: str
    slot: str
    primary_identifier: str = ""

    @property
    def name(self) -> str:
        return f"{self.instance.version}/{self.instance.name} of {self.primary}"

    def needs(self) -> tuple[Need, ...]:
        return (Need(self.primary, system_identifier(self.instance)),)

    def settled(self, facts: Facts) -> Self:
        answer = facts.get(self.primary, system_identifier(self.instance))
        return replace(self, primary_identifier=answer.text.strip() if answer else "")

    def probe(self) -> Ask:
        data = sh(self.instance.data_directory)
        log = sh(f"{self.instance.data_directory}.pgprovision-progress")
        control = sh(f"{self.instance.bin}/pg_controldata", "-D", self.instance.data_directory)
        return Ask(
            f"state=$(systemctl show -P ActiveState {UNIT}); echo $state\n"
            f'[ "$state" = failed ] && journalctl -u {UNIT} -n 4 -o cat && exit 5\n'
            f"if [ -e {sh(note(self.instance))} ]; then\n"
            f"  tail -c 200 {log} 2>/dev/null | tr '\\r' '\\n' | tail -n 1; exit 3\nfi\n"
            f"[ -e {data}/PG_VERSION ] || exit 4\n"
            f"[ -e {data}/standby.signal ] && echo standby || echo primary\n"
            f"LC_ALL=C {control} | sed -n 's/^Database system identifier: *//p'"
        )

    def read(self, answer: Answer) -> State | Waiting | None:
        unit, *rest = answer.text.splitlines()
        if answer.code == 5:
            return {"role": "none", "failure": "; ".join(rest)}
        if answer.code in (3, 4):
            if unit in ("active", "activating"):
                progress = rest[-1].strip() if rest else "waiting for the checkpoint"
                return Waiting(f"base backup from {self.primary}: {progress}", limit=HOURS)
            return {"role": "none"}
        role, identifier = rest
        if role != "standby":
            raise Refused(
                "the inventory says replica, and the data directory is a primary's:"
                " the live role wins, and data is never overwritten",
                where=self.on,
                done="nothing was written",
                next="pgprovision status shows who is primary; correct the roles in nodes/*.yml",
            )
        if self.primary_identifier and identifier != self.primary_identifier:
            raise Refused(
                f"this standby belongs to another cluster (system identifier {identifier},"
                f" the primary has {self.primary_identifier})",
                where=self.on,
                done="nothing was written",
                next="check the addresses of both nodes in nodes/*.yml",
            )
        return {"role": "standby"}

    def desired(self) -> State:
        return {"role": "standby"}

    def change(self, diff: Diff) -> Iterable[Do]:
        here, data = sh(note(self.instance)), sh(self.instance.data_directory)
        log = sh(f"{self.instance.data_directory}.pgprovision-progress")
        words = ["pg_basebackup", "-d", self.primary_conninfo, "-D", self.instance.data_directory]
        words += ["-S", self.slot, "-X", "stream", "-c", "fast", "-P"]
        identify = as_postgres(
            "psql",
            "-XAtq",
            "-d",
            f"{self.primary_conninfo} replication=true",
            "-c",
            "IDENTIFY_SYSTEM",
        )
        script = (
            f"set -e\nfound=$({identify} | cut -d'|' -f1)\n"
            f'[ "$found" = {sh(self.primary_identifier)} ] || '
            f'{{ echo "the server that answers is cluster $found, not the primary\'s" >&2;'
            f" exit 1; }}\n"
            f"touch {here}; sync {here}\n{set_aside(self.instance)}\n"
            f"install -d -o postgres -g postgres -m 0700 {data}\n"
            f"{as_postgres(*words)} 2>{log}\n"
            f"{as_postgres('touch', f'{self.instance.data_directory}/standby.signal')}\n"
            f"sync -f {data}\nrm -f {here} {log}\nsystemctl daemon-reload\n"
        )
        yield Do(
            f"base backup from {self.primary} through slot {self.slot} (unit {UNIT})",
            f"set -e\nsystemctl reset-failed {UNIT} 2>/dev/null || :\n"
            + sh(
                "systemd-run",
                "--quiet",
                f"--unit={UNIT}",
                "--property=Type=exec",
                "--property=CPUWeight=50",
                "sh",
                "-c",
                script,
            ),
        )


def primary_conninfo(
    *, host: str, address: str, port: int, user: str, passfile: str, ca: str, node: str
) -> str:
    """The libpq connection string a standby streams with: verify-full, password from a file."""
    parts = {
        "host": host,
        "hostaddr": address,
        "port": str(port),
        "user": user,
        "passfile": passfile,
        "sslmode": "verify-full",
        "sslrootcert": ca,
        "application_name": node,
    }
    return " ".join(f"{key}={conninfo(value)}" for key, value in parts.items())
