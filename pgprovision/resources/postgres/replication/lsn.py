"""Log sequence numbers."""


def lsn_to_bytes(lsn: str) -> int:
    """A log sequence number in bytes: 0/3000060 is 50331744."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)
