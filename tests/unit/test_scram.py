"""SCRAM verifiers against the figures of the RFCs. The laws log in with them."""

import pytest

from pgprovision.errors import InventoryError
from pgprovision.resources.postgres.catalog.scram import saslprep, verifier, verifier_matches
from pgprovision.secret import Secret

SALT = b"[m\x99h\x9d\x12\x35\x8e\xec\xa0K\x14\x12\x36\xfa\x81"  # RFC 7677: W22ZaJ0SNY7soEsUEjb6gQ==
PENCIL = (  # RFC 7677's exchange for the password "pencil", as PostgreSQL would store it
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
    ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)


def test_verifier_when_made_from_the_rfc_example_then_it_is_the_rfc_s() -> None:
    assert verifier(Secret("pencil"), SALT) == PENCIL


@pytest.mark.parametrize(
    ("password", "stored", "expected"),
    [
        ("pencil", PENCIL, True),
        ("Pencil", PENCIL, False),
        ("pencil", "md5" + "0" * 32, False),
        ("pencil", "pencil", False),
        ("pencil", "SCRAM-SHA-256$4096:x$y:z", False),
    ],
)
def test_matches_when_compared_then_only_the_right_password_fits(
    password: str, stored: str, expected: bool
) -> None:
    assert verifier_matches(Secret(password), stored) is expected


@pytest.mark.parametrize(
    ("password", "expected"),
    [  # RFC 4013 section 3, then what PostgreSQL does where SASLprep prohibits
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("\u0007é", "\u0007é"),
        ("\u06271", "\u06271"),
        ("\u00ad", "\u00ad"),
    ],
)
def test_prepared_when_not_ascii_then_as_saslprep_or_raw(password: str, expected: str) -> None:
    assert saslprep(password) == expected.encode()


@pytest.mark.parametrize("password", ["", "a\0b"])
def test_verifier_when_it_could_be_no_password_then_refused(password: str) -> None:
    with pytest.raises(InventoryError, match="at least one character"):
        verifier(Secret(password), SALT)
