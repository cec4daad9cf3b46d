"""Who runs this, from where, and how the plan was approved."""

import getpass
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from pgprovision import __version__
from pgprovision.engine.model import Change

APPROVAL_OPTIONS = ("--plan", "--yes", "-y", "--confirm")  # options that answer beforehand


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


def approval_source(plan: Sequence[Change]) -> str:
    """How, as far as the command line tells."""
    given = {word.partition("=")[0] for word in sys.argv[1:]}
    for option in APPROVAL_OPTIONS:
        if option in given:
            return option
    prompted = not plan or any(change.actions for change in plan)
    return "prompt" if prompted else "nothing to approve"


def _who() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        name = f"uid {os.getuid()}"
    sudo = os.environ.get("SUDO_USER")
    return f"{name} (sudo by {sudo})" if sudo else name
