"""Text as a shell reads it from a script: comments, here-documents, names for secrets."""

import base64
import re
from textwrap import wrap

_SECRET = re.compile(r"<secret: ([^<>\n]*)>")
_SPECIAL = re.compile(r"([\\$`])")


def comment(text: str) -> str:
    """Every line a comment."""
    return "\n".join(f"# {line}" for line in text.splitlines())


def secret_variable(source: str) -> str:
    """The shell variable for the secret from this source.

    >>> variable("!file secrets/rails.password")
    'secret_rails_password'
    """
    name = re.sub(r"^!(env|command|file (secrets/)?)", "", source)
    return "secret_" + re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")


def secret_sources(shown: str) -> list[str]:
    """Where the secrets in a text come from, each once."""
    return list(dict.fromkeys(_SECRET.findall(shown)))


def here_document(content: bytes) -> tuple[str, str, str]:
    """What stands before a command, after it, and below it, so that it reads this content:

    as it is where a person can read it, base64 where not.
    """
    text = _readable(content)
    if text is None:
        lines = "\n".join(wrap(base64.b64encode(content).decode(), 76))
        return "base64 -d <<'EOF' | ", "", f"{lines}\nEOF"
    end = _delimiter(text)
    if text.endswith("\n"):
        return "", f" <<'{end}'", f"{text}{end}"
    return f"head -c -1 <<'{end}' | ", "", f"{text}\n{end}"  # the shell ends it with a newline


def here_document_with_secrets(shown: str) -> tuple[str, str, str]:
    """The same for a text with secrets in it: each is a variable, which has to be set."""
    parts = _SECRET.split(shown)
    for index, part in enumerate(parts):
        secret = index % 2
        parts[index] = f"${{{secret_variable(part)}:?}}" if secret else _SPECIAL.sub(r"\\\1", part)
    text = "".join(parts)
    end = _delimiter(text)
    if text.endswith("\n"):
        return "", f" <<{end}", f"{text}{end}"
    return f"head -c -1 <<{end} | ", "", f"{text}\n{end}"


def _readable(content: bytes) -> str | None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return text if all(c.isprintable() or c in "\n\t" for c in text) else None


def _delimiter(text: str) -> str:
    lines, end = set(text.splitlines()), "EOF"
    while end in lines:
        end += "_"
    return end
