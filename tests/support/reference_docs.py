"""The pages of docs/ that are made from the program: `make docs` writes them, a test compares."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from pathlib import Path
from textwrap import fill
from typing import Any, get_args

from typer import Typer
from typer.models import ArgumentInfo, ParameterInfo

from pgprovision.cli.app import app, options
from pgprovision.inventory.schema import json_schema
from pgprovision.package_data import packaged_folder

Command = Callable[..., object]
DOCS = Path(__file__).parents[2] / "docs"
WIDTH = 100
GENERATED_NOTE = "<!-- Made by `make docs` from the program itself: edit the texts there. -->\n"


def generated_pages() -> dict[str, str]:
    """Every such page by its name in docs/."""
    return {
        "commands.md": GENERATED_NOTE + "".join(_commands()),
        "inventory.md": GENERATED_NOTE + "".join(_inventory_keys()),
        "templates.md": GENERATED_NOTE + "".join(_templates()),
        json_schema.SCHEMA_FILE: json_schema.schema_text(),
    }


def commands(group: Typer = app, words: str = "pgprovision") -> Iterator[tuple[str, Command]]:
    """Every command with the words that call it: `pgprovision secrets init`."""
    for registered in group.registered_commands:
        assert registered.callback
        name = registered.name or registered.callback.__name__.replace("_", "-")
        yield f"{words} {name}", registered.callback
    for inner in group.registered_groups:
        assert inner.typer_instance
        alone = inner.typer_instance.registered_callback
        if alone and alone.callback and inner.typer_instance.info.invoke_without_command is True:
            yield f"{words} {inner.name}", alone.callback
        yield from commands(inner.typer_instance, f"{words} {inner.name}")


def _commands() -> Iterator[str]:
    yield f"# Commands\n\n`pgprovision [-i FOLDER] COMMAND ...`\n\n{_filled(app.info.help)}\n"
    yield from _table(parameters(options))
    yield "\nEvery command also has `--help`.\n"
    for words, command in commands():
        given = list(parameters(command))
        usage = [words, *(name for name, _, _ in given if not name.startswith("-"))]
        yield f"\n## {words.partition(' ')[2]}\n\n`{' '.join(usage)}`\n\n"
        yield f"{_filled(command.__doc__)}\n"
        yield from _table(given)


def parameters(command: Command) -> Iterator[tuple[str, str, object]]:
    """Name, meaning and default of each argument and option, as they are declared."""
    for name, parameter in inspect.signature(command, eval_str=True).parameters.items():
        kind, *declared = get_args(parameter.annotation) or [None]
        infos = [info for info in declared if isinstance(info, ParameterInfo)]
        for info in infos:
            default = getattr(parameter.default, "value", parameter.default)
            shown = "" if default in (inspect.Parameter.empty, None, False, "") else f"`{default}`"
            if isinstance(info, ArgumentInfo):
                plain = (info.metavar or name.upper()).strip("[]")
                word = f"[{plain}]" if parameter.default is not inspect.Parameter.empty else plain
            else:
                takes = "" if kind is bool else f" {info.metavar or _choices(kind)}"
                given = [info.default] if isinstance(info.default, str) else []
                flags = [*given, *(info.param_decls or ())] or [f"--{name.replace('_', '-')}"]
                word = ", ".join(flags) + takes
            yield word, str(info.help), shown


def _choices(kind: object) -> str:
    for one in (kind, *get_args(kind)):
        if isinstance(one, type) and issubclass(one, Enum):
            return "|".join(choice.value for choice in one)
    return "VALUE"


def _table(rows: Iterable[tuple[str, str, object]]) -> Iterator[str]:
    lines = [f"| `{_cell(name)}` | {_cell(text)} | {default} |\n" for name, text, default in rows]
    if lines:
        yield "\n| | | default |\n|---|---|---|\n" + "".join(lines)


def _filled(text: object) -> str:
    """A help text, its paragraphs filled."""
    paragraphs = inspect.cleandoc(str(text)).split("\n\n")
    return "\n\n".join(fill(" ".join(one.split()), WIDTH) for one in paragraphs)


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|")


def _inventory_keys() -> Iterator[str]:
    schema = json_schema.build_schema()
    tags = ", ".join(f'"{tag}"' for tag in json_schema.YAML_TAGS)
    yield (
        "# The inventory\n\n"
        "A folder: `cluster.yml`, a file per node in `nodes/`, `secrets/`, and `templates/` for "
        "templates of\nyour own. `pgprovision init NAME` writes one. Keys in bold have to be "
        "there; the others have the\ndefault that is shown.\n\n"
        "Any text or number may be a reference to where it is kept; a secret has to be one:\n\n"
        "| tag | gives |\n|---|---|\n"
        "| `!env NAME` | an environment variable |\n"
        "| `!env {name: NAME, default: TEXT}` | the same, or the text where it is not set |\n"
        "| `!file PATH` | a file's text; the path is relative to the folder |\n"
        "| `!command [PROGRAM, ARGUMENT, ...]` | what a program prints |\n\n"
        "Each reference is resolved once per command of pgprovision: a password manager that asks\n"
        "for a touch of a key asks once.\n\n"
        "Editors complete and check these files with the JSON Schema that `init` puts beside them\n"
        "(`pgprovision schema` prints it). VS Code's YAML extension has to know the tags:\n\n"
        f'```json\n"yaml.customTags": [{tags}]\n```\n\n'
        "Every verb reads all of it first. What is wrong comes in one report, sorted by file and\n"
        "line, with the key, what is expected and, where there is one, a line that would be\n"
        "right; the exit code is 2 and nobody was connected to. Of a secret only the\n"
        "reference is shown, never the value:\n\n"
        "```\n"
        "shop/cluster.yml:31:5: postgres.prot: unknown key (did you mean port?)\n"
        "    example: port: 5433\n"
        "shop/cluster.yml:46:15: roles.rails.password: ***: a secret in clear text; expected !file "
        "secrets/NAME, !env NAME or !command [...]\n"
        "    example: password: !file secrets/rails.password\n"
        "```\n\n"
        "What only the machine can tell (`shared_buffers` above its memory, a slot that may hold\n"
        "back more than its disk, a port that another program has, a Docker or VPN range inside\n"
        "the private network, a locale that is not there, a clock five minutes off) is refused by\n"
        "the first look, all of it at once, before anything is written.\n"
    )
    yield from _model("cluster.yml", schema)
    models = {name: model for name, model in schema["$defs"].items() if "properties" in model}
    yield from _model("nodes/NAME.yml", models.pop("Node"), "Node")
    for name, model in models.items():
        yield from _model(name, model)


def _model(title: str, model: json_schema.JsonSchema, anchor: str = "") -> Iterator[str]:
    mark = f'<a id="{anchor.lower()}"></a>\n\n' if anchor else ""
    yield f"\n## {title}\n\n{mark}{model['description']}\n\n"
    yield "| key | value | default | |\n|---|---|---|---|\n"
    for key, value in model["properties"].items():
        name = f"**`{key}`**" if key in model["required"] else f"`{key}`"
        default = f"`{_plain(value['default'])}`" if "default" in value else ""
        yield f"| {name} | {_value(value)} | {default} | {value['description']} |\n"


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(value: json_schema.JsonSchema) -> str:
    """What may stand at a key, in words."""
    match value:
        case {"enum": words}:
            return ", ".join(f"`{word}`" for word in words)
        case {"type": "array", "items": items}:
            return f"list of: {_value(items)}"
        case {"type": "object", "additionalProperties": inner}:
            return f"by name: {_value(inner)}"
        case {"title": title}:
            return _cell(title)
        case {"anyOf": [{"type": "integer"} as number, *_]}:
            return _number(number)
        case {"anyOf": [{"$ref": _}, {"$ref": model}]}:
            return f"the line itself, or {_value({'$ref': model})}"
        case {"$ref": "#/$defs/text"}:
            return "text"
        case {"$ref": model}:
            name = model.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"type": "boolean"}:
            return "true or false"
        case {"type": [*_]}:
            return "a number, true, false or text"
    raise AssertionError(value)


def _number(limits: dict[str, Any]) -> str:
    match limits:
        case {"minimum": lowest, "maximum": most}:
            return f"a whole number, {lowest} to {most}"
        case {"minimum": lowest}:
            return f"a whole number from {lowest}"
    return "a whole number"


def _templates() -> Iterator[str]:
    """From the first line of each: `{# PATH ON THE HOST: what it is for #}`."""
    yield (
        "# Templates\n\n"
        "Every file that pgprovision renders comes from a template (jinja2). A file of the same "
        "name in the\ninventory's own `templates/` is taken instead; what it misses is an error, "
        "never an empty line. Most\nfiles are written whole: an edit on the host is drift.\n\n"
        "| template | on the host | |\n|---|---|---|\n"
    )
    for path in sorted(packaged_folder("templates").iterdir()):
        first = path.read_text().partition("\n")[0]
        found = re.fullmatch(r"\{# (/[^\s:]+)((?: [^:]+)?): (.+) #\}", first)
        assert found, f"{path}: its first line is not {{# PATH ON THE HOST: what it is for #}}"
        yield f"| `{path.name}` | `{found[1]}`{found[2]} | {_cell(found[3])} |\n"


def write_pages() -> None:
    """All of them, into docs/."""
    for name, text in generated_pages().items():
        (DOCS / name).write_text(text)


if __name__ == "__main__":
    write_pages()
