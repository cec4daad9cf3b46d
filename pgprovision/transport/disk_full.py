"""Describes a full disk: which mount it is, how full, what is on it."""

from collections.abc import Callable

from pgprovision.errors import PgprovisionError

_DISK_FULL_MESSAGES = ("No space left on device", "Disk quota exceeded", "enough free space")
_USAGE_SCRIPT = """
df -l -x devtmpfs -x squashfs -x iso9660 --output=pcent,ipcent,avail,itotal,iavail,target |
sed 1d | while read -r bytes inodes left all free mount; do
  if [ "$reported" ]; then [ "${bytes%\\%}" -ge 95 ] 2>&- || [ "${inodes%\\%}" -ge 95 ] 2>&-
  else [ "$left" = 0 ] || { [ "$all" != 0 ] && [ "$free" = 0 ]; }; fi || continue
  echo "$mount: $bytes of its bytes are used, $inodes of its inodes; the largest below it:"
  timeout 10 du -xam "$mount" 2>&- | sort -rn | sed -n '2,4s/\\t/ MB /p'
done"""


def add_disk_usage(error: PgprovisionError, run_script: Callable[[str], str]) -> None:
    """Adds to an error that came of a full disk what is full, as a `run_script` on the machine
    shows.

    Not every program says so: to apt a server `no longer has a ReleaseCompatibility file`. Then a
    disk on which nothing at all is left is named."""
    reported = any(sign in error.what for sign in _DISK_FULL_MESSAGES)
    usage = run_script(f"reported={'yes' if reported else ''}\n{_USAGE_SCRIPT}").strip()
    if usage:
        error.what += "\n  full: " + usage.replace("\n", "\n    ")
    elif not reported:
        return
    error.state = "no file is incomplete: each is the old one or the new one"
    error.next = (
        "free disk space there (never by hand in pg_wal), then run the same command again: it"
        " continues from here"
    )
