"""What pgBackRest's errors mean and what to do: one table, for Python and for shell."""

from pgprovision.quote import sh

# Texts of a message, and the cause; the first match counts. Observed with 2.45 and 2.55.1 against
# rclone; the codes are Amazon's "Error responses", which other stores use, too.
_CUT = "the store answers too slowly, or the line to it is cut off"
ERROR_HINTS = (
    (("<Code>InvalidAccessKeyId",), "the store does not know the access key (key)"),
    (("<Code>SignatureDoesNotMatch",), "the secret access key (key_secret) is wrong"),
    (
        ("<Code>RequestTimeTooSkewed",),
        "this host's clock and the store's are too far apart: timedatectl",
    ),
    (("<Code>NoSuchBucket",), "there is no such bucket in that store (bucket)"),
    (("<Code>AccessDenied",), "the access key may not do that in this bucket"),
    (("unable to get address for",), "the name of the store cannot be resolved (endpoint)"),
    (
        ("Connection refused",),
        "nothing listens at that port of the store (endpoint: HOST:PORT)",
    ),
    (
        ("unable to verify certificate", "unable to find hostname", "certificate verify failed"),
        "the store's certificate is not that of its name, or not signed by a known authority"
        " (endpoint, ca_file)",
    ),
    (("user-defined CA certificate",), "the authority's certificate cannot be read (ca_file)"),
    (
        ("key/value found outside of section", "unable to load info file", "cipher header"),
        "the passphrase (cipher_pass) is not the repository's, or it is damaged",
    ),
    (
        ("Data corruption detected", "lz4 error", "does not match expected checksum"),
        "a file in the repository is damaged: pgprovision backup verify names it",
    ),
    (
        ("is not later than latest backup label",),
        "a backup was labelled by a clock that was ahead, and until that moment none is taken:"
        " timedatectl",
    ),
    (("TLS error",), _CUT),
    (("HTTP request failed with 403",), "the store forbids it (key, key_secret, bucket)"),
    (("HTTP request failed with 404",), "the store does not have it (bucket, uri_style)"),
    (
        ("HTTP request failed with 5", "ServiceError", "<Code>InternalError"),
        "the store itself fails: wait, or ask its operator",
    ),
    (
        ("timeout", "timed out", "unexpected eof", "Connection reset", "Broken pipe"),
        _CUT,
    ),
)


def error_hint(message: str) -> str:
    """The cause of a message of pgBackRest's; empty where it is not known."""
    for signs, meaning in ERROR_HINTS:
        if any(sign in message for sign in signs):
            return meaning
    return ""


def error_hint_script(variable: str) -> str:
    """Shell text that prints the cause of the message in a shell variable, if it is known."""
    cases = " ".join(
        f"{'|'.join(f'*{sh(sign)}*' for sign in signs)}) echo {sh(f'cause: {meaning}')};;"
        for signs, meaning in ERROR_HINTS
    )
    return f'case "${variable}" in {cases} esac'
