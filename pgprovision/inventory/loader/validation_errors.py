"""pydantic's errors as complaints a person can act on."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, get_args

from pydantic import ValidationError

from pgprovision.inventory.loader.unknown_keys import (
    annotation_at,
    bad_key,
    fields_at,
    model_of,
    slip,
    unknown_key,
)
from pgprovision.inventory.loader.yaml_document import Document
from pgprovision.inventory.problems import Complaint, Loc, closest, is_secret, listed
from pgprovision.inventory.schema.examples import line
from pgprovision.inventory.schema.validators import Instead
from pgprovision.inventory.tagged_text import Sourced

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
SHORTEST = 6  # characters of a text that may be a secret, and not a word


def explained(error: ValidationError, document: Document) -> Iterator[Complaint]:
    """One complaint for each error, without those at places that already have one."""
    spoiled = {complaint.key for complaint in document.complaints if complaint.key}
    found = [(_written(wrong["loc"], document), wrong) for wrong in error.errors(include_url=False)]
    slips = {(*loc[:-1], slip(loc)) for loc, wrong in found if wrong["type"] == "extra_forbidden"}
    found = [(loc, w) for loc, w in found if w["type"] != "missing" or loc not in slips]
    around = {loc[:n] for loc in [*spoiled, *(loc for loc, _ in found)] for n in range(len(loc))}
    for loc, wrong in found:
        if loc not in around and not any(loc[:n] in spoiled for n in range(len(loc) + 1)):
            unknown = wrong["type"] == "extra_forbidden"
            text, example = unknown_key(loc, document) if unknown else _text(wrong, loc, document)
            yield complaint(document, loc, text, example, at_key=unknown)


def _written(loc: Loc, document: Document) -> Loc:
    """The key path as it stands in the file: a name may be the key itself, or the file's."""
    loc = tuple(part for part in loc if part != "[key]")
    return loc[:-1] if loc[-1:] == ("name",) and len(loc) == 3 and loc not in document.keys else loc


def complaint(
    document: Document, loc: Loc, text: str, example: str = "", *, at_key: bool = False
) -> Complaint:
    """A complaint at a key path: at a scalar itself, else at its key, else at what is around."""
    held = loc
    while held and held not in document.places:
        held = held[:-1]
    if held in document.keys and (at_key or held not in document.texts):
        return Complaint(document.keys[held], loc, text, example)
    return Complaint(document.places[held], loc, text, example)


def masked(document: Document, texts: Iterable[Sourced]) -> Iterator[Complaint]:
    """The complaints with the source's name wherever they quote a text taken from elsewhere."""
    for found in document.complaints:
        said, example = found.text, found.example or ""
        own = document.texts.get(found.key, "") is None
        for text in () if is_secret(found.key) else texts:  # there only the source is named
            for piece in (str(text), *(text.split() if own else ())):
                if len(piece) >= SHORTEST:
                    said = said.replace(piece, f"<{text.source}>")
                    example = "" if piece in example else example
        yield replace(found, text=said, example=example)


def shown(document: Document, loc: Loc) -> str:
    """What was written there, where it may be shown."""
    text = document.texts.get(loc)
    if text is None or not loc:
        return ""
    if text and (is_secret(loc) or any(is_secret((key,)) for key in fields_at(loc))):
        return "***: "
    text = re.sub("//[^/@]*@", "//***@", text)
    return f"{text[:40]!r}: " if text else "empty: "


def _text(wrong: Mapping[str, Any], loc: Loc, document: Document) -> tuple[str, str]:
    """What is wrong there, and a line that would be right."""
    kind, value = str(wrong["type"]), wrong["input"]
    example = line(loc)
    if kind == "missing":
        return "missing" + _expected(loc), example
    if kind == "value_error":
        error = wrong["ctx"]["error"]
        if len(loc) == 2 and loc[0] == "nodes":
            return f"the file's name: {error}", ""
        if wrong["loc"][-1] == "[key]" or wrong["loc"] != loc:
            return bad_key(str(error), loc, document)
        if isinstance(value, Sourced) and is_secret(loc):
            return str(error), ""
        better = error.instead if isinstance(error, Instead) else ""
        return shown(document, loc) + str(error), line(loc, better)
    if kind == "literal_error":
        known = [str(word) for word in get_args(annotation_at(loc))]
        meant = closest(value, known) if isinstance(value, str) else ""
        near = f" (did you mean {meant}?)" if meant else ""
        return f"{shown(document, loc)}expected {wrong['ctx']['expected']}{near}", line(loc, meant)
    if kind in _SHAPES:
        found = shown(document, loc)
        if value is None:
            found = "empty: "
        elif isinstance(value, list | dict):
            found = "a list: " if isinstance(value, list) else "a mapping: "
        hint = ""
        if kind == "string_type" and isinstance(value, bool | int | float) and found:
            hint = f"; write '{document.texts.get(loc)}' in quotes"
        return f"{found}expected {_SHAPES[kind]}{hint}", example
    message = str(wrong["msg"]).replace("Input should be", "expected a value")
    text = shown(document, loc) + message.replace("Tuple should have", "expected").lower()
    return text.replace(" after validation", ""), example


def _expected(loc: Loc) -> str:
    model = model_of(annotation_at(loc))
    if model is None:
        return f"; expected `{loc[-1]}: ...`"
    needed = [name for name, field in model.model_fields.items() if field.is_required()]
    return f"; expected a mapping with {listed(needed, 'and')}"
