"""A value that is never shown.

`Secret` prints as `***` in every way Python knows to print, cannot be pickled, and compares
in constant time. There are two ways to its clear text: `reveal()` where it leaves the process, and
`text()` where it is checked or becomes part of another Secret.
"""

import hmac
from typing import NoReturn

_PLAIN = str.maketrans("<>\n", "   ")  # so that its end is found again


class Secret:
    """Text nobody may see, where it came from (`source`, for messages), and the same text as
    people may see it: `redacted`, with `<secret: SOURCE>` in each secret's place.
    """

    __slots__ = ("__text", "redacted", "source")

    def __init__(self, text: str, source: str = "", redacted: str = "") -> None:
        self.__text = text
        self.source = source
        self.redacted = redacted or f"<secret: {source.translate(_PLAIN)}>"

    def reveal(self) -> bytes:
        """The clear text where it leaves the process: for a host's stdin, a file of the inventory,
        a request to a service. tests/unit/test_secret.py lists every module that calls it."""
        return self.__text.encode()

    def text(self) -> str:
        """The clear text where it stays in the process: to check it, to derive a digest, a verifier
        or a key from it, or to build another Secret. Never for a message."""
        return self.__text

    def embed_in(self, template: str) -> "Secret":
        """A secret text that holds this one, at `{}`."""
        redacted = template.replace("{}", self.redacted)
        return Secret(template.replace("{}", self.__text), self.source, redacted)

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(
            self.__text.encode(), other.text().encode()
        )

    def __hash__(self) -> int:
        return hash(("secret", self.source))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")
