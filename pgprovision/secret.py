"""A value that is never shown.

`Secret` prints as `***` in every way Python knows to print, cannot be pickled, and compares
without leaking time. `reveal()` is called only where the bytes leave for a host's stdin.
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
        """The bytes themselves. Only for a host's stdin or a derived verifier."""
        return self.__text.encode()

    def text(self) -> str:
        """The text itself, to build another secret from it."""
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
        return isinstance(other, Secret) and hmac.compare_digest(self.reveal(), other.reveal())

    def __hash__(self) -> int:
        return hash(("secret", self.source))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")
