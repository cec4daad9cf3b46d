"""Public keys of people, as Hetzner puts them into new servers."""

import hashlib
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pgprovision.engine.model import Action, Answer, Diff, State
from pgprovision.errors import InventoryError, Refused
from pgprovision.resources.hetzner.hetzner_resource import HetznerResource


def fingerprint(public_key: str) -> str:
    """MD5, colon-separated: how the API names a key. Raises InventoryError.

    >>> fingerprint("ssh-ed25519 AAAA comment")
    '69:3e:9a:f8:4d:3d:fc:c7:1e:64:0e:00:5b:dc:5e:2e'
    """
    try:
        blob = b64decode(public_key.split()[1], validate=True)
    except (IndexError, ValueError) as error:
        raise InventoryError(f"not a public SSH key: {public_key[:40]!r}") from error
    return hashlib.md5(blob, usedforsecurity=False).digest().hex(":")


@dataclass(frozen=True, kw_only=True)
class SshKey(HetznerResource):
    """A registered public key, found by its fingerprint: it is used as it is, whoever registered it
    under whatever name. Never a reason to replace a server."""

    kind: ClassVar[str] = "ssh key"
    collection: ClassVar[str] = "ssh_keys"
    public_key: str

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public_key)

    def read(self, answer: Answer) -> State | None:
        if any(item["fingerprint"] == self.fingerprint for item in answer.items):
            return {"fingerprint": self.fingerprint}
        if taken := self.find(answer, foreign=True):
            raise Refused(
                f"the project has another key of this name ({taken['fingerprint']}; ours is "
                f"{self.fingerprint})",
                next="give ours another name under hetzner.ssh_keys in the inventory",
            )
        return None

    def desired(self) -> State:
        return {"fingerprint": self.fingerprint}

    def change(self, diff: Diff) -> Iterable[Action]:
        yield self.create({"public_key": self.public_key})
