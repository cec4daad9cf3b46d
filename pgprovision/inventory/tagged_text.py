"""Text that an inventory takes from elsewhere: `!env`, `!file`, `!command`."""

from pgprovision.secret import Secret


class TaggedText(str):
    """The text, where it came from, and why it may not serve as a secret (or nothing)."""

    source: str
    rejection: str

    def __new__(cls, text: str, source: str, rejection: str = "") -> "TaggedText":
        tagged = super().__new__(cls, text)
        tagged.source = source
        tagged.rejection = rejection
        return tagged

    def secret(self) -> Secret:
        """The same as a Secret of one line. Raises ValueError where it may not be one."""
        if not self or any(c in "\0\n\r" or "\ud800" <= c <= "\udfff" for c in self):
            raise ValueError(f"{self.source}: expected a secret of one line, not empty")
        return self._as_secret()

    def private_key(self) -> Secret:
        """The same as a private key in PEM."""
        if not self.startswith("-----BEGIN ") or "PRIVATE KEY-----" not in self:
            raise ValueError(f"{self.source}: expected a private key in PEM")
        return self._as_secret()

    def _as_secret(self) -> Secret:
        if self.rejection:
            raise ValueError(self.rejection)
        return Secret(str(self), self.source)
