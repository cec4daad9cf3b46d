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
        """The same as a Secret. Raises ValueError where it may not be one."""
        if self.unfit:
            raise ValueError(self.unfit)
        if not self or "\0" in self or "\n" in self:
            raise ValueError(f"{self.source} is no secret: expected one line of text, not empty")
        return Secret(str(self), self.source)
