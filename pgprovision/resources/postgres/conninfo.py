"""libpq connection strings, every value quoted (manual, 34.1.1)."""

from pgprovision.quote import conninfo


def extend(connection: str, **parameters: str | int) -> str:
    """A connection string with more parameters; a later one wins over an earlier one.

    >>> extend("host='db-1'", user="it's me", connect_timeout=5)
    "host='db-1' user='it\\\\'s me' connect_timeout='5'"
    """
    added = [f"{key}={conninfo(str(value))}" for key, value in parameters.items()]
    return " ".join([connection, *added] if connection else added)


def verified_connection(
    *, host: str, address: str, port: int, ca: str, **parameters: str | int
) -> str:
    """A connection to `address` that only the server with `host` in its certificate can answer.
    `ca`: path of the CA's certificate where the string is used. It has no password: libpq reads it
    from a passfile, or the caller adds it."""
    return extend(
        "",
        host=host,
        hostaddr=address,
        port=port,
        **parameters,
        sslmode="verify-full",
        sslrootcert=ca,
    )
