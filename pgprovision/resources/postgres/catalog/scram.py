"""SCRAM-SHA-256 verifiers (RFC 5802, 7677) as PostgreSQL stores them, and their check.

PostgreSQL never sees a password of ours: it gets a verifier, and a stored verifier is compared
with the declared password by computing it again with the stored salt.
"""

import hashlib
import hmac
import re
import stringprep
import unicodedata
from base64 import b64decode, b64encode

from pgprovision.errors import InventoryError
from pgprovision.secret import Secret

ITERATIONS = 4096  # PostgreSQL's default, and RFC 7677's minimum
_BASE64 = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_VERIFIER = re.compile(rf"SCRAM-SHA-256\$([1-9]\d{{0,6}}):({_BASE64})\${_BASE64}:{_BASE64}")
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,  # unassigned in Unicode 3.2
)


def verifier(secret: Secret, salt: bytes, iterations: int = ITERATIONS) -> str:
    """The value for pg_authid.rolpassword. Raises InventoryError for a text that cannot be a
    password."""
    password = secret.text()
    if not password or "\0" in password:
        raise InventoryError(
            f"the password of {secret.source} is empty or has a NUL; expected at least one"
            " character, and no NUL"
        )
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password), salt, iterations)
    stored = hashlib.sha256(_mac(salted, b"Client Key")).digest()
    server = _mac(salted, b"Server Key")
    parts = (b64encode(part).decode() for part in (salt, stored, server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(iterations, *parts)


def verifier_matches(secret: Secret, stored: str) -> bool:
    """Whether this password matches the stored verifier. False for any other kind of hash."""
    form = _VERIFIER.fullmatch(stored)
    if form is None:
        return False
    ours = verifier(secret, b64decode(form[2]), int(form[1]))
    return hmac.compare_digest(ours, stored)


def saslprep(password: str) -> bytes:
    """The password as PostgreSQL's client hashes it: SASLprep (RFC 4013), and the bytes as they
    are where SASLprep prohibits them (pg_saslprep in src/common/saslprep.c).
    """
    if password.isascii():
        return password.encode()
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c
        for c in password
        if stringprep.in_table_c12(c) or not stringprep.in_table_b1(c)
    )
    # Like PostgreSQL, the checks look at the text before it is normalised.
    if not mapped or any(table(c) for c in mapped for table in _PROHIBITED) or _mixed(mapped):
        return password.encode()
    return unicodedata.normalize("NFKC", mapped).encode()


def _mixed(text: str) -> bool:
    """RFC 3454 section 6: right-to-left text begins and ends so and holds nothing else."""
    if not any(map(stringprep.in_table_d1, text)):
        return False
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return not ends or any(map(stringprep.in_table_d2, text))


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
