"""How to take a change back, as far as there is a way."""

import json

from pgprovision.engine.model import Change, Impact, Value

MAX_SHOWN_CHARACTERS = 60  # characters of a former value that are shown in place
MASK = "***"
EFFECT_KINDS = frozenset(  # they carry out, or prove, what other changes wrote
    {
        "claim file",
        "daemon configuration",
        "first boot",
        "node registry",
        "pending configuration",
        "verified login",
        "identity marker",
        "postmaster",
        "private address",
        "release compatibility",
        "streaming replication",
        "repository verification",
    }
)
DATA_KINDS = frozenset({"PostgreSQL cluster", "standby"})
CLOUD_TARGET = "hetzner"
BACKUP_KINDS = ("first backup", "backup")


def undo_hint(change: Change) -> str:
    """For people. What was there before is in the record beside it, but for secrets."""
    before, after = change.redacted.before, change.redacted.after
    kind = change.resource.kind
    if kind in EFFECT_KINDS:
        return "nothing to undo here: undo the change that made it necessary"
    if change.impact is Impact.DESTROY:
        if after is None:
            return (
                "cannot be undone: it was deleted with its contents. up creates another; data can"
                " only be restored from a backup"
            )
        return (
            "its data were renamed to DIRECTORY.aside-TIME (pgprovision status names it): stop"
            " PostgreSQL, rename what is there now, and rename that back"
        )
    if after is None:
        secret_lost = (
            " (its content was a secret and is not in the record)" if _masked(before) else ""
        )
        return (
            f"declare it in the inventory again, as `before` shows it{secret_lost};"
            " then pgprovision up."
            " Its contents are not restored"
        )
    if before is None:
        return _undo_creation(change)
    keys = [key for key in change.diff.keys if key in after]
    back = ", ".join(f"{key} = {_previous_value(before.get(key))}" for key in keys)
    again = f" (a {change.impact.name.lower()} again)" if change.impact else ""
    return (
        f"set in the inventory: {back}; then pgprovision up{again}. What the inventory cannot"
        " declare is by hand, and the next up changes it again"
    )


def _undo_creation(change: Change) -> str:
    kind, on = change.resource.kind, change.resource.on
    if kind in DATA_KINDS:
        return (
            "no command deletes data: take the node out (pgprovision remove-replica NAME, or"
            " pgprovision destroy), then remove the directory by hand"
        )
    if kind in BACKUP_KINDS:
        return "nothing to take back: a backup expires by the inventory's retention"
    if kind == "role":
        return "declare it `present: false` in the inventory; then pgprovision up"
    if on == CLOUD_TARGET:
        return (
            "remove it from the inventory and delete it at Hetzner by hand; pgprovision destroy"
            " deletes the whole cluster"
        )
    return (
        "created by this run: remove it from the inventory, or the next up creates it again, then"
        " remove it by hand"
    )


def _previous_value(value: Value) -> str:
    if value is None:
        return "(absent)"
    text = json.dumps(value, ensure_ascii=False)
    if MASK in text:
        return "(a secret: not in the record)"
    return text if len(text) <= MAX_SHOWN_CHARACTERS else "(what `before` shows)"


def _masked(state: object) -> bool:
    return isinstance(state, dict) and MASK in state.values()
