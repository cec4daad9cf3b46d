"""What to do about each of Hetzner's error codes."""

from pgprovision.clients.hetzner.api import HetznerApiError
from pgprovision.engine.model import Action
from pgprovision.errors import CloudError
from pgprovision.server_offers import NEXT_IF_UNAVAILABLE

CAPACITY_CODES = frozenset({"resource_unavailable", "placement_error", "no_space_left_in_location"})
_RERUN = "run the same command again: it continues from here"
_NEXT_STEPS = {
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
        "only `pgprovision destroy` removes the protection, after a confirmation",
    ),
    "uniqueness_error": ("an object of that name or key exists already", _RERUN),
    "server_not_stopped": (
        "it does not shut down",
        "see what keeps it on its console; shut down by hand, run the same command again",
    ),
    "locked": ("it stays locked by another action", _RERUN),
}


def as_cloud_error(error: HetznerApiError, action: Action, hint: str = "") -> CloudError:
    """The refusal of one action. `hint` says what else can be had where capacity ran out."""
    what, next_step = _NEXT_STEPS.get(error.code, ("", _RERUN))
    limits = ", ".join(limit["name"] for limit in error.details.get("limits", ()))
    fields = "; ".join(
        f"{field['name']}: {', '.join(field.get('messages', ()))}"
        for field in error.details.get("fields", ())
    )
    message = f"{error}{f': {limits or fields}' if limits or fields else ''}"
    if error.code in CAPACITY_CODES:
        what, next_step = "no capacity", NEXT_IF_UNAVAILABLE
        message += f"; {hint}" if hint else ""
    return CloudError(f"{action.why}: {f'{what}: ' if what else ''}{message}", next=next_step)
