"""Actions on a machine, as a person pastes them into a root shell."""

from collections.abc import Iterable, Iterator

from pgprovision.engine.model import Action, Change
from pgprovision.explain.text import (
    here_document,
    here_document_with_secrets,
    secret_sources,
    secret_variable,
)

SHELL_PROLOGUE = "umask 022; cd /; export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive"
MACHINE_MISSING = "echo 'explain again once this machine is there' >&2; exit 1"
OK_FUNCTION = (
    'ok() { [ $? = 0 ] || { echo "stopped here; what stands above is done" >&2; exit 1; }; }'
)


def lines(action: Action) -> Iterator[str]:
    """One action: its text in a subshell of its own, as `up` runs it, and the end of it awaited."""
    before, after, below = _stdin_redirection(action)
    if before:
        yield f"{before}(\n{below}\n{action.text}\n); ok"
    else:
        body = f"(\n{action.text}\n)" if "\n" in action.text else f"( {action.text} )"
        yield f"{body}{after}; ok" + (f"\n{below}" if below else "")
    if action.wait_command:
        yield f"{action.wait_command}; ok"


def secrets_needed(changes: Iterable[Change]) -> Iterator[str]:
    """How to give the secrets that a block's actions hold, as comments."""
    shown = "".join(
        action.stdin.redacted
        for change in changes
        for action in change.actions
        if not isinstance(action.stdin, bytes)
    )
    if found := secret_sources(shown):
        yield "# It needs secrets: type each line in that shell, paste the secret, press Enter."
        yield from (f"#   read -rs {secret_variable(source)}    # {source}" for source in found)


def _stdin_redirection(action: Action) -> tuple[str, str, str]:
    if not isinstance(action.stdin, bytes):
        shown = action.stdin.redacted
        return (
            here_document_with_secrets(shown)
            if secret_sources(shown)
            else here_document(shown.encode())
        )
    return here_document(action.stdin) if action.stdin else ("", " </dev/null", "")
