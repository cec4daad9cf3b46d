"""Hetzner's refusals, said so that a person knows what to do."""

from pgprovision.clients.hetzner.api import Refusal
from pgprovision.engine.model import Do
from pgprovision.errors import CloudError
from pgprovision.server_offers import AGAIN

CAPACITY = frozenset({"resource_unavailable", "placement_error", "no_space_left_in_location"})
_AGAIN = "run the same command again: it goes on from here"
_TURN = {
    "unauthorized": ("Hetzner rejects the API token", "put a valid token into the inventory"),
    "token_readonly": (
        "the API token may only read",
        "make a token with read and write in the project (Security, API tokens)",
    ),
    "forbidden": ("the API token may not do this", "check the token and its project"),
    "resource_limit_exceeded": (
        "the project's quota is used up",
        "raise it in the console (Limits) or remove what is not needed, then run again",
    ),
    "protected": (
        "it is protected",
        "only `pgprovision destroy` takes protection away, after a typed name",
    ),
    "uniqueness_error": ("something of that name or key is there already", _AGAIN),
    "server_not_stopped": (
        "it does not shut down",
        "see what keeps it on its console; shut down by hand, run the same command again",
    ),
    "locked": ("it stays busy with something else", _AGAIN),
}


def explained(error: Refusal, do: Do, instead: str = "") -> CloudError:
    """The refusal of one action. `instead` says what else can be had where capacity ran out."""
    what, turn = _TURN.get(error.code, ("", _AGAIN))
    limits = ", ".join(limit["name"] for limit in error.details.get("limits", ()))
    fields = "; ".join(
        f"{field['name']}: {', '.join(field.get('messages', ()))}"
        for field in error.details.get("fields", ())
    )
    said = f"{error}{f': {limits or fields}' if limits or fields else ''}"
    if error.code in CAPACITY:
        what, turn = "no capacity", AGAIN
        said += f"; {instead}" if instead else ""
    return CloudError(f"{do.why}: {f'{what}: ' if what else ''}{said}", next=turn)
