"""Actions on a machine, as a person pastes them into a root shell."""

from collections.abc import Iterable, Iterator

from pgprovision.engine.model import Change, Do
from pgprovision.explain.text import here_document, here_document_of_secrets, sources, variable

START = "umask 022; cd /; export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive"
NOT_YET = "echo 'explain again once this machine is there' >&2; exit 1"
OK = 'ok() { [ $? = 0 ] || { echo "stopped here; what stands above is done" >&2; exit 1; }; }'


def lines(action: Do) -> Iterator[str]:
    """One action: its text in a subshell of its own, as `up` runs it, and the end of it awaited."""
    before, after, below = _fed(action)
    if before:
        yield f"{before}(\n{below}\n{action.text}\n); ok"
    else:
        body = f"(\n{action.text}\n)" if "\n" in action.text else f"( {action.text} )"
        yield f"{body}{after}; ok" + (f"\n{below}" if below else "")
    if action.until:
        yield f"{action.until}; ok"


def secrets_needed(changes: Iterable[Change]) -> Iterator[str]:
    """How to give the secrets that a block's actions hold, as comments."""
    shown = "".join(
        action.stdin.shown
        for change in changes
        for action in change.actions
        if not isinstance(action.stdin, bytes)
    )
    if found := sources(shown):
        yield "# It needs secrets: type each line in that shell, paste the secret, press Enter."
        yield from (f"#   read -rs {variable(source)}    # {source}" for source in found)


def _fed(action: Do) -> tuple[str, str, str]:
    if not isinstance(action.stdin, bytes):
        shown = action.stdin.shown
        return here_document_of_secrets(shown) if sources(shown) else here_document(shown.encode())
    return here_document(action.stdin) if action.stdin else ("", " </dev/null", "")
