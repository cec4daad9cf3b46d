"""PGDG's key and repository."""

import pytest

from pgprovision.engine.model import Answer, Diff
from pgprovision.errors import InventoryError
from pgprovision.resources.system.apt_repository import (
    PGDG_FINGERPRINT,
    AptRepository,
    fingerprint,
    pgdg_key,
)

# gpg --quick-generate-key lab ed25519 sign never; gpg --armor --export
ED25519 = """\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawA61BYJKwYBBAHaRw8BAQdAEtpSMDYxUX2NsD1z6gCGbCyeNfTLsPo6xbIm
bhrn8/G0FUEgbWlycm9yIG9mIHRoZSBsYWInc4iQBBMWCAA4FiEEbV4zv13Z3SPt
MCwYKn5llgY3dy8FAmsAOtQCGwMFCwkIBwIGFQoJCAsCBBYCAwECHgECF4AACgkQ
Kn5llgY3dy8NmAEAvp9i5W4wrTd24SYTLHpdZ7/4gRBxyUAk3EuRtviVrpsBAL4G
2y1r+G1PBpxDAg8SfxrZDdXnBcr2TsAFD6vTbUoM
=qiwk
-----END PGP PUBLIC KEY BLOCK-----
"""


@pytest.mark.covers("S64")
def test_key_when_shipped_then_it_is_pgdgs() -> None:
    assert fingerprint(pgdg_key()) == PGDG_FINGERPRINT


def test_fingerprint_when_the_key_is_of_another_kind_then_as_gpg_prints_it() -> None:
    assert fingerprint(ED25519) == "6D5E33BF5DD9DD23ED302C182A7E65960637772F"


@pytest.mark.parametrize("text", ["", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n=x", "x\n\ny"])
def test_fingerprint_when_not_a_key_then_bad_input(text: str) -> None:
    with pytest.raises(InventoryError, match="OpenPGP public key"):
        fingerprint(text)


def test_fingerprint_when_the_key_is_cut_off_then_bad_input() -> None:
    head, _, body = pgdg_key().partition("\n\n")
    with pytest.raises(InventoryError):
        fingerprint(f"{head}\n\n{body[:64]}\n=AAAA\n")


def test_repository_when_absent_then_it_is_tried_before_anything_is_written() -> None:
    resource = AptRepository(on="db", key=pgdg_key(), codename="bookworm")
    before = resource.read(Answer(out=b"===key\n===source\n===preference\n"))
    actions = list(resource.change(Diff(before, resource.desired())))
    assert before is None
    assert [action.why.split()[0] for action in actions] == ["try", "write", "write", "write"]
    assert "trusted" not in "".join(action.text for action in actions)


def test_repository_when_rendered_then_its_key_alone_may_sign_it() -> None:
    resource = AptRepository(on="db", key=pgdg_key(), codename="bookworm")
    line = str(resource.desired()["source"]).splitlines()[-1]
    assert line == (
        "deb [signed-by=/etc/apt/keyrings/pgdg.asc] https://apt.postgresql.org/pub/repos/apt"
        " bookworm-pgdg main"
    )
