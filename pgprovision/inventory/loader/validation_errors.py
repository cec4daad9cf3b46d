"""pydantic's errors as problems a person can act on."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import ValidationError

from pgprovision.inventory.loader.unknown_keys import (
    intended_key,
    invalid_key,
    unknown_key,
)
from pgprovision.inventory.loader.yaml_document import Document
from pgprovision.inventory.problems import KeyPath, Message, Problem, closest_name, join_words
from pgprovision.inventory.reference import Reference
from pgprovision.inventory.schema.examples import example_line
from pgprovision.inventory.schema.fields import annotation_at, is_redacted, model_of
from pgprovision.inventory.schema.validators import SuggestedValue

_SHAPES = {
    "model_type": "a mapping of keys",
    "mapping_type": "a mapping of keys",
    "dict_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
    "tuple_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
}
_PEM = "-----BEGIN "


def validation_problems(error: ValidationError, document: Document) -> Iterator[Problem]:
    """One problem for each error, without those at places that already have one."""
    known_paths = {problem.path for problem in document.problems if problem.path}
    found = [
        (_path_in_file(wrong["loc"], document), wrong) for wrong in error.errors(include_url=False)
    ]
    slips = {
        (*loc[:-1], intended_key(loc)) for loc, wrong in found if wrong["type"] == "extra_forbidden"
    }
    found = [(loc, w) for loc, w in found if w["type"] != "missing" or loc not in slips]
    around = {
        loc[:n] for loc in [*known_paths, *(loc for loc, _ in found)] for n in range(len(loc))
    }
    for loc, detail in found:
        if loc not in around and not any(loc[:n] in known_paths for n in range(len(loc) + 1)):
            unknown = detail["type"] == "extra_forbidden"
            text, example = (
                unknown_key(loc, document) if unknown else _describe(detail, loc, document)
            )
            yield problem_at(document, loc, text, example, at_key=unknown)


def _path_in_file(loc: KeyPath, document: Document) -> KeyPath:
    """The key path as it stands in the file: a name may be the key itself, or the file's."""
    loc = tuple(part for part in loc if part != "[key]")
    return (
        loc[:-1]
        if loc[-1:] == ("name",) and len(loc) == 3 and loc not in document.key_positions
        else loc
    )


def problem_at(
    document: Document, loc: KeyPath, text: str, example: str = "", *, at_key: bool = False
) -> Problem:
    """A problem at a key path: at a scalar itself, else at its key, else at what is around."""
    nearest = loc
    while nearest and nearest not in document.positions:
        nearest = nearest[:-1]
    is_scalar = nearest in document.texts or nearest in document.references
    if nearest in document.key_positions and (at_key or not is_scalar):
        return Problem(document.key_positions[nearest], loc, text, example)
    return Problem(document.positions[nearest], loc, text, example)


def rule_problem(
    document: Document, loc: KeyPath, text: str | Message, example: str | Message = ""
) -> Problem:
    """What a rule found at a key path. Of a value that is kept elsewhere only the reference is
    shown, and no example is made of it."""
    reference = document.references.get(loc)
    shown = text.text(reference) if isinstance(text, Message) else text
    if isinstance(example, Message):
        example = "" if reference else example.text()
    return problem_at(document, loc, shown, example)


def shown_value(document: Document, loc: KeyPath) -> str:
    """What was written there, where it may be shown."""
    text = document.texts.get(loc)
    if text is None or not loc:
        return ""
    if text and (is_redacted(loc) or text.startswith(_PEM)):
        return "***: "
    text = re.sub("//[^/@]*@", "//***@", text)
    return f"{text[:40]!r}: " if text else "empty: "


def _describe(detail: Mapping[str, Any], loc: KeyPath, document: Document) -> tuple[str, str]:
    """What is wrong there, and a line that would be right."""
    kind, value = str(detail["type"]), detail["input"]
    example = example_line(loc)
    if kind == "missing":
        return "missing" + _expected(loc), example
    if kind == "value_error":
        error = detail["ctx"]["error"]
        if len(loc) == 2 and loc[0] == "nodes":
            return f"the file's name: {error}", ""
        if detail["loc"][-1] == "[key]" or detail["loc"] != loc:
            return invalid_key(str(error), loc, document)
        if isinstance(value, Reference):
            return str(error), ""
        suggestion = error.suggestion if isinstance(error, SuggestedValue) else ""
        return shown_value(document, loc) + str(error), example_line(loc, suggestion)
    if kind == "literal_error":
        known = [str(word) for word in get_args(annotation_at(loc))]
        meant = closest_name(value, known) if isinstance(value, str) else ""
        near = f" (did you mean {meant}?)" if meant else ""
        return (
            f"{shown_value(document, loc)}expected {detail['ctx']['expected']}{near}",
            example_line(loc, meant),
        )
    if kind in _SHAPES:
        found = shown_value(document, loc)
        if value is None:
            found = "empty: "
        elif isinstance(value, list | dict):
            found = "a list: " if isinstance(value, list) else "a mapping: "
        hint = ""
        if kind == "string_type" and isinstance(value, bool | int | float) and found:
            hint = f"; write '{document.texts.get(loc)}' in quotes"
        return f"{found}expected {_SHAPES[kind]}{hint}", example
    message = str(detail["msg"]).replace("Input should be", "expected a value")
    text = shown_value(document, loc) + message.replace("Tuple should have", "expected").lower()
    return text.replace(" after validation", ""), example


def _expected(loc: KeyPath) -> str:
    model = model_of(annotation_at(loc))
    if model is None:
        return f"; expected `{loc[-1]}: ...`"
    needed = [name for name, field in model.model_fields.items() if field.is_required()]
    return f"; expected a mapping with {join_words(needed, 'and')}"
