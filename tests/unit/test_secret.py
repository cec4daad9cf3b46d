"""S15: in every way Python knows to print, a secret is ***."""

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

import pytest

import pgprovision
from pgprovision.secret import Secret

TEXT = "canary-7d1f"


@dataclass(frozen=True)
class Container:
    password: Secret


def _log(secret: Secret) -> str:
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s %r", (secret, [secret]), None)
    return record.getMessage()


def _traceback(secret: Secret) -> str:
    try:
        raise ValueError(secret, Container(secret))
    except ValueError as error:
        return "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )


@pytest.mark.covers("S15")
@pytest.mark.parametrize(
    "printed",
    [
        str,
        repr,
        "{:>40}".format,
        "{0!r} {0!s} {0!a}".format,
        lambda secret: f"{secret}{secret!r}{[secret]}",
        lambda secret: "%s %r" % (secret, {"a": secret}),  # noqa: UP031
        lambda secret: Template("$a").substitute(a=secret),
        lambda secret: json.dumps({"a": secret}, default=str),
        lambda secret: repr(Container(secret)),
        _log,
        _traceback,
    ],
)
def test_secret_repr_when_printed_in_any_way_is_stars(
    printed: Callable[[Secret], str],
) -> None:
    shown = printed(Secret(TEXT, "!file x"))
    assert "***" in shown
    assert TEXT not in shown


@pytest.mark.covers("S15")
@pytest.mark.parametrize("taken", [json.dumps, pickle.dumps, copy.copy, copy.deepcopy, vars, bytes])
def test_secret_repr_when_taken_apart_refuses(taken: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError) as refused:
        taken(Secret(TEXT, "!file x"))
    assert TEXT not in str(refused.value)


# where clear text leaves the process: a host's stdin, a file of the inventory, a service
DOORS = {
    "operations/watch/watch.py",
    "clients/hetzner/api.py",
    "clients/notifications.py",
    "clients/object_store.py",
    "inventory/edit/repositories.py",
    "inventory/edit/secrets.py",
    "operations/certificate_authority.py",
    "operations/rotate_password.py",
    "transport/host.py",
}


@pytest.mark.covers("S15")
def test_secret_when_it_leaves_the_process_goes_through_a_known_door() -> None:
    package = Path(pgprovision.__file__).parent
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if ".reveal(" in path.read_text()
    }
    assert found == DOORS
