"""SSH keys: known by name and by MD5 fingerprint."""

import base64
import binascii
import hashlib

from pgprovision.lab.cloud.call import GONE, Answer, Call, Routes, created
from pgprovision.lab.cloud.errors import ApiError, invalid
from pgprovision.lab.cloud.object_kind import Noun
from pgprovision.lab.cloud.project import World
from pgprovision.lab.cloud.store import Doc

_FIELDS = ["id", "name", "fingerprint", "public_key", "labels", "created"]


def fingerprint(public_key: str) -> str:
    """MD5 over the key's bytes, as colon-separated hex. Raises invalid_input."""
    try:
        kind, encoded = public_key.split()[:2]
        blob = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise invalid("public_key", "not an SSH public key") from None
    if blob[4 : 4 + len(kind)] != kind.encode():
        raise invalid("public_key", f"the key's bytes are not of type {kind}")
    return hashlib.md5(blob, usedforsecurity=False).digest().hex(":")


def pick(world: World, ref: str) -> Doc:
    """By id or name, as a server's creation names its keys."""
    for key in world.all("ssh_key"):
        if ref in (str(key["id"]), key["name"]):
            return key
    raise ApiError("not_found", f"SSH key '{ref}' not found")


def create(call: Call) -> Answer:
    public_key = call.body.text("public_key", longest=16384).strip()
    mark = fingerprint(public_key)
    call.world.check_unique("ssh_key", "fingerprint", mark)
    key = call.world.add(
        "ssh_key",
        name=call.body.name(),
        fingerprint=mark,
        public_key=public_key,
        labels=call.body.labels(),
    )
    return created(ssh_key=view(call.world, key))


def delete(call: Call) -> Answer:
    call.world.remove("ssh_key", NOUN.find(call))
    return GONE


def view(world: World, key: Doc) -> Doc:
    return {name: key[name] for name in _FIELDS}


NOUN = Noun("ssh_key", "ssh_keys", view, {"fingerprint": lambda world, key: key["fingerprint"]})
ROUTES: Routes = {
    **NOUN.routes(with_actions=False),
    ("POST", "/ssh_keys"): create,
    ("DELETE", "/ssh_keys/{id:int}"): delete,
}
