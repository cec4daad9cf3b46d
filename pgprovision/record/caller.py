"""Who runs this, from where, and how the plan was approved."""

import getpass
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from pgprovision import __version__
from pgprovision.engine.model import Change

APPROVING = ("--plan", "--yes", "-y", "--confirm")  # options that answer beforehand


def caller() -> dict[str, Any]:
    """`ssh_client`: the address somebody is logged in from."""
    return {
        "who": _who(),
        "host": socket.gethostname(),
        "ssh_client": os.environ.get("SSH_CLIENT", "").partition(" ")[0] or None,
        "argv": sys.argv[1:],
        "pid": os.getpid(),
        "version": __version__,
    }


def approved_by(plan: Sequence[Change]) -> str:
    """How, as far as the command line tells."""
    given = {word.partition("=")[0] for word in sys.argv[1:]}
    for option in APPROVING:
        if option in given:
            return option
    asked = not plan or any(change.actions for change in plan)
    return "an answer at the terminal" if asked else "nothing to approve"


def _who() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        name = f"uid {os.getuid()}"
    sudo = os.environ.get("SUDO_USER")
    return f"{name} (sudo by {sudo})" if sudo else name
