"""SSH keys: known by name and by MD5 fingerprint."""

import base64
import binascii
import hashlib

from pgprovision.lab.cloud.call import NO_CONTENT, ApiCall, ApiResponse, Routes, created_response
from pgprovision.lab.cloud.errors import ApiError, invalid_input
from pgprovision.lab.cloud.object_kind import ObjectKind
from pgprovision.lab.cloud.project import CloudProject
from pgprovision.lab.cloud.store import Doc

_FIELDS = ["id", "name", "fingerprint", "public_key", "labels", "created"]


def fingerprint(public_key: str) -> str:
    """MD5 over the key's bytes, as colon-separated hex. Raises invalid_input."""
    try:
        kind, encoded = public_key.split()[:2]
        blob = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise invalid_input("public_key", "not an SSH public key") from None
    if blob[4 : 4 + len(kind)] != kind.encode():
        raise invalid_input("public_key", f"the key's bytes are not of type {kind}")
    return hashlib.md5(blob, usedforsecurity=False).digest().hex(":")


def find_key(project: CloudProject, ref: str) -> Doc:
    """By id or name, as a server's creation names its keys."""
    for key in project.list_all("ssh_key"):
        if ref in (str(key["id"]), key["name"]):
            return key
    raise ApiError("not_found", f"SSH key '{ref}' not found")


def create(call: ApiCall) -> ApiResponse:
    public_key = call.body.text("public_key", max_length=16384).strip()
    mark = fingerprint(public_key)
    call.project.check_unique("ssh_key", "fingerprint", mark)
    key = call.project.add(
        "ssh_key",
        name=call.body.name(),
        fingerprint=mark,
        public_key=public_key,
        labels=call.body.labels(),
    )
    return created_response(ssh_key=view(call.project, key))


def delete(call: ApiCall) -> ApiResponse:
    call.project.remove("ssh_key", KIND.find(call))
    return NO_CONTENT


def view(project: CloudProject, key: Doc) -> Doc:
    return {name: key[name] for name in _FIELDS}


KIND = ObjectKind(
    "ssh_key", "ssh_keys", view, {"fingerprint": lambda world, key: key["fingerprint"]}
)
ROUTES: Routes = {
    **KIND.routes(with_actions=False),
    ("POST", "/ssh_keys"): create,
    ("DELETE", "/ssh_keys/{id:int}"): delete,
}
