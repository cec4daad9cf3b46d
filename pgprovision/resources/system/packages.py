"""Debian packages that must be installed, and the state of dpkg."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Diff, Probe, Resource, State, Waiting
from pgprovision.quote import sh

LOCK_SECONDS = 600  # unattended-upgrades on a fresh machine takes minutes
INSTALL_SECONDS = 1800.0
# dpkg-query(1): half-installed, unpacked, half-configured, triggers awaited, triggers pending.
DAMAGED = frozenset("HUFWt")
APT_UPDATED_FILE = "/var/lib/pgprovision/apt-updated"  # apt gives its lists the mirror's file times

# The kernel lists locks by inode, whatever the disk; so the open files of the lock's owner are
# looked at, too. `fuser` is not on a small image.
_LOCKS = "^/var/(lib/dpkg/lock|lib/apt/lists/lock|cache/apt/archives/lock)"
DPKG_PROBE = Probe(
    "locks=$(stat -c ':%i ' /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock"
    " /var/lib/apt/lists/lock /var/cache/apt/archives/lock 2>/dev/null)\n"
    "while read -r _ _ _ _ pid inode _; do\n"
    '  for lock in $locks; do case "$inode" in *"$lock")\n'
    f"    readlink /proc/$pid/fd/* 2>/dev/null | grep -qE '{_LOCKS}' || continue\n"
    '    read -r owner <"/proc/$pid/comm" ||'
    ' owner="?"; echo "lock $owner (process $pid)"; break 2;; esac; done\n'
    "done </proc/locks\n"
    "dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\\n'"
)

_APT = (
    f"apt-get -q -y -o DPkg::Lock::Timeout={LOCK_SECONDS} -o Dpkg::Options::=--force-confdef"
    " -o Dpkg::Options::=--force-confold --no-install-recommends"
)
_INSTALL = f"""set -e
update() {{ mkdir -p {APT_UPDATED_FILE.rpartition("/")[0]}; : >{APT_UPDATED_FILE}.new
  apt-get -q -o DPkg::Lock::Timeout={LOCK_SECONDS} -o APT::Update::Error-Mode=any \
    -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 update
  mv {APT_UPDATED_FILE}.new {APT_UPDATED_FILE}; }}
install() {{ output=$({_APT} install "$@" 2>&1); }}  # dpkg says why on stdout, apt that it failed
fresh=$(find {APT_UPDATED_FILE} -mmin -1440 2>/dev/null) || :
[ -z "$fresh" ] || fresh=$(find /etc/apt/sources.list /etc/apt/sources.list.d \
  -newer {APT_UPDATED_FILE} 2>/dev/null | grep -q . || echo yes)
updated=
[ -n "$fresh" ] || {{ update; updated=yes; }}
"""

# apt-get waits for the lock by itself; these give up at once. A run that was killed leaves its
# apt-get at work, and between two of its steps the lock is free for a moment.
RETRY_WHILE_LOCKED = f"""patient() {{
  tries={LOCK_SECONDS // 2}
  until output=$("$@" 2>&1); do
    tries=$((tries - 1))
    case $tries:$output in 0:*) ;; *" lock "*) sleep 2; continue;; esac
    printf '%s\n' "$output" >&2; return 1
  done
  printf '%s\n' "$output"
}}
"""

# What was interrupted while it was unpacked has to be unpacked again.
_REPAIR = f"""{RETRY_WHILE_LOCKED}patient dpkg --configure -a --force-confdef --force-confold
{_APT} -f install
again=$(dpkg-query -W -f '${{db:Status-Abbrev}} ${{Package}}\\n' | sed -n 's/^..R //p; s/^.H  *//p')
[ -z "$again" ] || {_APT} --reinstall install $again
"""


def wait_while_locked(answer: Answer, state: State, desired: State) -> State | Waiting:
    """The state; Waiting where something differs that cannot be changed before the lock is free."""
    lines = answer.text.splitlines()
    owner = next((line[5:] for line in lines if line.startswith("lock ")), None)
    if owner and Diff(state, desired):
        return Waiting(f"the package system is locked by {owner}", LOCK_SECONDS)
    return state


@dataclass(frozen=True, kw_only=True)
class PackageSet(Resource):
    """Installed packages. No package is ever removed."""

    kind: ClassVar[str] = "packages"
    title: str
    names: tuple[str, ...] = ()
    """Packages that may have any version."""
    pinned: Mapping[str, str] = field(default_factory=dict)
    """Packages that must have one version."""

    @property
    def name(self) -> str:
        return self.title

    def probe(self) -> Probe:
        return DPKG_PROBE

    def read(self, answer: Answer) -> State | Waiting:
        lines = answer.text.splitlines()
        rows = [line.split(" ") for line in lines if not line.startswith("lock ")]
        found = {row[-2]: row[-1] for row in rows if row[0][1:2] in DAMAGED | {"i"}}
        broken = [row[-2] for row in rows if row[0][1:2] in DAMAGED or row[0][2:3] == "R"]
        state: dict[str, str | None] = {n: "installed" if n in found else None for n in self.names}
        state |= {name: found.get(name) for name in self.pinned}
        state["dpkg"] = f"half-done: {', '.join(broken)}" if broken else "sound"
        return wait_while_locked(answer, state, self.desired())

    def desired(self) -> State:
        return dict.fromkeys(self.names, "installed") | dict(self.pinned) | {"dpkg": "sound"}

    def change(self, diff: Diff) -> Iterable[Action]:
        if diff.changed("dpkg"):
            yield Action(
                "finish what an interrupted dpkg left half-done",
                _REPAIR,
                timeout=INSTALL_SECONDS,
            )
        to_install = [key for key in diff.keys if key != "dpkg"]
        if to_install:
            arguments = sh(
                *(f"{n}={self.pinned[n]}" if n in self.pinned else n for n in to_install)
            )
            retry = f'{{ [ -z "$updated" ] && update && install {arguments}; }}'
            why = "{ printf '%s\\n' \"$output\" >&2; exit 100; }"
            yield Action(
                f"install {', '.join(to_install)}",
                f"{_INSTALL}install {arguments} || {retry} || {why}",
                timeout=INSTALL_SECONDS,
            )
