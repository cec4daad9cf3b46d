"""Text that an inventory takes from elsewhere: `!env`, `!file`, `!command`."""

from pgprovision.secret import Secret


class Sourced(str):
    """The text, where it came from, and why it may not serve as a secret (or nothing)."""

    source: str
    unfit: str

    def __new__(cls, text: str, source: str, unfit: str = "") -> "Sourced":
        made = super().__new__(cls, text)
        made.source = source
        made.unfit = unfit
        return made

    def secret(self) -> Secret:
        """The same as a Secret of one line. Raises ValueError where it may not be one."""
        if not self or any(c in "\0\n\r" or "\ud800" <= c <= "\udfff" for c in self):
            raise ValueError(f"{self.source}: expected a secret of one line, not empty")
        return self._fit()

    def private_key(self) -> Secret:
        """The same as a private key in PEM."""
        if not self.startswith("-----BEGIN ") or "PRIVATE KEY-----" not in self:
            raise ValueError(f"{self.source}: expected a private key in PEM")
        return self._fit()

    def _fit(self) -> Secret:
        if self.unfit:
            raise ValueError(self.unfit)
        return Secret(str(self), self.source)
