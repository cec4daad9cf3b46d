"""Calls of the cloud's API, as a person makes them with curl and jq."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import quote

from pgprovision.engine.model import Action, Ref
from pgprovision.quote import sh

# The token travels on a descriptor and bodies on stdin: neither is in an argument list.
_HELPERS = r"""
ask() { # METHOD PATH [curl's options]: the answer
  method=$1 path=$2; shift 2
  curl -sS --fail-with-body -X "$method" -H @/dev/fd/3 "$@" "$api$path" 3<<EOF
Authorization: Bearer ${HCLOUD_TOKEN:?}
EOF
}
id() { ask GET "/$1?$2" | jq -er ".$1[0].id // error(\"no $2 among $1\")"; }
call() { # METHOD PATH, its body on stdin: ends when Hetzner has done it
  answer=$(ask "$1" "$2" -H 'Content-Type: application/json' -d @-) ||
    { printf '%s\n' "$answer" >&2; return 1; }
  begun='[.action?, .actions[]?, .next_actions[]?] | .[] | select(.) | .id'
  for action in $(printf %s "$answer" | jq "$begun"); do
    while state=$(ask GET "/actions/$action" | jq -er .action.status); [ "$state" = running ]; do
      sleep 1
    done
    [ "$state" = success ] || { echo "action $action: $state" >&2; return 1; }
  done
}"""
_NAME = re.compile(r"\{(\w+):([^}]+)\}")
_FINGERPRINT = re.compile(r"([0-9a-f]{2}:){15}[0-9a-f]{2}")
_SECRET = re.compile(r"( *)<secret: (!command )?([^<>]*)>")
_PLACEHOLDER = "\ue000{}\ue000"  # of the private use area: in no name and no text of ours
_WIDTH = 80


def prologue(endpoint: str) -> list[str]:
    """What every block of calls begins with."""
    return [f"api={sh(endpoint)}", _HELPERS.strip()]


def lines(action: Action) -> Iterator[str]:
    """One call: ids are looked up, the body is made by jq."""
    ids: dict[str, str] = {}  # the variable of each look-up

    def variable(kind: str, name: str) -> str:
        by = "fingerprint" if _FINGERPRINT.fullmatch(name) else "name"
        look = sh("id", kind, f"{by}={quote(name, ':')}")
        return ids.setdefault(look, f"{kind}_{len(ids) + 1}")

    method, template = action.text.split(" ", 1)
    path = _NAME.sub(lambda found: f"${variable(found[1], found[2])}", template)
    body, options = _body(action.body, variable)
    for lookup, name in ids.items():
        yield f"{name}=$({lookup}); ok"
        if f"${name}" in body:
            options.append(f'--argjson {name} "${name}"')
    call = f'call {method} "{path}"'
    if action.body is None:
        yield f"{call} </dev/null; ok"
    else:
        yield " ".join(["jq -n", *options, sh(body), f"|\n  {call}; ok"])


def _body(body: object, variable: Callable[[str, str], str]) -> tuple[str, list[str]]:
    """The body as a program of jq's, and the options that fill its variables."""
    placeholders: dict[str, str] = {}
    options: list[str] = []

    def placeholder(program: str) -> str:
        mark = _PLACEHOLDER.format(len(placeholders))
        placeholders[json.dumps(mark, ensure_ascii=False)] = program
        return mark

    def secret(found: re.Match[str]) -> str:
        """A file's text or a command's, its later lines indented as the first one is."""
        indent, command, source = found.groups()
        name = f"secret_{len(options) + 1}"
        options.append(
            f'--arg {name} "$({source})"' if command else f"--rawfile {name} {sh(source)}"
        )
        return rf'{indent}\(${name} | rtrimstr("\n") | gsub("\n"; "\n{indent}"))'

    def plain(value: object) -> object:
        match value:
            case Ref(kind, name):
                return placeholder(f"${variable(kind, name)}")
            case Mapping():
                return {key: plain(part) for key, part in value.items()}
            case list() | tuple():
                return [plain(part) for part in value]
        redacted = getattr(value, "redacted", None)
        if redacted is None:
            return value
        pieces = json.dumps(str(redacted), ensure_ascii=False)
        return placeholder(_SECRET.sub(secret, pieces))

    rendered = plain(body)
    text = json.dumps(rendered, ensure_ascii=False)
    if len(text) > _WIDTH:
        text = json.dumps(rendered, ensure_ascii=False, indent=2)
    for mark, program in placeholders.items():
        text = text.replace(mark, program)
    return text, options
