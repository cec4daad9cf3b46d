"""pydantic's errors as complaints a person can act on."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from pgprovision.inventory.complaint import (
    Complaint,
    Loc,
    closest,
    dotted,
    is_secret,
    listed,
    nearest,
)
from pgprovision.inventory.document import Document
from pgprovision.inventory.examples import first_key, line, nested
from pgprovision.inventory.known import NAMES
from pgprovision.inventory.model import Hetzner, Inventory, Node
from pgprovision.inventory.sourced import Sourced
from pgprovision.inventory.values import Instead

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
# what others call it, and how it is called here
OTHER_WORDS = MappingProxyType(
    {
        "bastion": "jump",
        "cpus": "cores",
        "datacenter": "location",
        "groups": "member_of",
        "host": "address",
        "hostname": "address",
        "ip": "private_ip",
        "os": "image",
        "private_key": "identity_file",
        "proxy_jump": "jump",
        "public_ip": "address",
        "ram": "memory",
        "retention": "retention_days",
        "roles": "users",
        "type": "server_type",
        "username": "user",
    }
)


def explained(error: ValidationError, document: Document) -> Iterator[Complaint]:
    """One complaint for each error, without those at places that already have one."""
    spoiled = {complaint.key for complaint in document.complaints if complaint.key}
    found = [(_written(wrong["loc"], document), wrong) for wrong in error.errors(include_url=False)]
    slips = {(*loc[:-1], _slip(loc)) for loc, wrong in found if wrong["type"] == "extra_forbidden"}
    found = [(loc, w) for loc, w in found if w["type"] != "missing" or loc not in slips]
    around = {loc[:n] for loc in [*spoiled, *(loc for loc, _ in found)] for n in range(len(loc))}
    for loc, wrong in found:
        if loc not in around and not any(loc[:n] in spoiled for n in range(len(loc) + 1)):
            unknown = wrong["type"] == "extra_forbidden"
            text, example = _unknown(loc, document) if unknown else _text(wrong, loc, document)
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
    if text and (is_secret(loc) or any(is_secret((key,)) for key in _fields(loc))):
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
            return _bad_key(str(error), loc, document)
        if isinstance(value, Sourced) and is_secret(loc):
            return str(error), ""
        better = error.instead if isinstance(error, Instead) else ""
        return shown(document, loc) + str(error), line(loc, better)
    if kind == "literal_error":
        known = [str(word) for word in get_args(_annotation(loc))]
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


def _bad_key(text: str, loc: Loc, document: Document) -> tuple[str, str]:
    """A name that stands as a key, and the same line with a better one."""
    name = str(loc[-1])
    if loc[-2:-1] == ("settings",):
        if meant := closest(name, NAMES):
            return f"{text} (did you mean {meant}?)", _moved((*loc[:-1], meant), loc, document)
        return text, ""
    composed = unicodedata.normalize("NFC", name)
    better = composed if composed != name else first_key(loc[:-1])
    return text, line((*loc[:-1], better)) if better else ""


def _annotation(loc: Loc) -> Any:
    """What the models say stands at this key path; None for what they do not know."""
    current: Any = Inventory
    for part in loc:
        model = _model(current)
        if model is not None:
            found = model.model_fields.get(str(part))
            if found is None:
                return None
            current = found.annotation
        else:
            inner = [a for a in get_args(current) if a is not Ellipsis and a is not type(None)]
            current = inner[-1] if inner else None
    return current


def _model(annotation: Any) -> type[BaseModel] | None:
    """The model an annotation is, seen through `| None`."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate if _is_optional(annotation, candidate) else None
    return None


def _is_optional(annotation: Any, model: type[BaseModel]) -> bool:
    return annotation is model or set(get_args(annotation)) == {model, type(None)}


def _fields(loc: Loc) -> tuple[str, ...]:
    model = _model(_annotation(loc))
    return tuple(model.model_fields) if model else ()


def _expected(loc: Loc) -> str:
    model = _model(_annotation(loc))
    if model is None:
        return f"; expected `{loc[-1]}: ...`"
    needed = [name for name, field in model.model_fields.items() if field.is_required()]
    return f"; expected a mapping with {listed(needed, 'and')}"


def _slip(loc: Loc) -> str:
    """The key of the same mapping that was meant, or nothing."""
    name, known = str(loc[-1]), _fields(loc[:-1])
    plain = name.lower().replace("-", "_")
    if OTHER_WORDS.get(plain) in known:
        plain = OTHER_WORDS[plain]
    return plain if plain in known else closest(name, known)


def _unknown(loc: Loc, document: Document) -> tuple[str, str]:
    """Which key was meant, and the line with it."""
    name, known = str(loc[-1]), set(_fields(loc[:-1])) - {"nodes", "folder"}
    plain = name.lower().replace("-", "_")
    if meant := _slip(loc):
        hint = nearest(name, [meant]) if plain != meant else ""
        text = "unknown key" + (hint or f"; expected {meant}")
        return text, _moved((*loc[:-1], meant), loc, document)
    if len(loc) == 3 and loc[0] == "nodes" and plain in Inventory.model_fields:
        return "unknown key here; it belongs into cluster.yml", ""
    if len(loc) == 1 and plain in Node.model_fields and plain not in Hetzner.model_fields:
        return "unknown key here; it belongs into a node's file, nodes/NAME.yml", ""
    homes = {dotted(home): home for home in sorted(_homes(plain), key=dotted)}
    if plain in NAMES and not homes:
        homes = {"postgres.settings": ("postgres", "settings")}
    if homes:
        home = (*next(iter(homes.values())), plain)
        text = f"unknown key here; it belongs under {listed(list(homes))}"
        return text, nested(home, _kept(home, loc, document) or "...")
    return f"unknown key; expected one of {', '.join(sorted(known))}", ""


def _moved(right: Loc, loc: Loc, document: Document) -> str:
    """The line with the key that was meant; its value as written, where that may be shown."""
    return line(right, _kept(right, loc, document))


def _kept(right: Loc, loc: Loc, document: Document) -> str:
    """A plain word that was written there, if it is no secret at either place."""
    text = document.texts.get(loc) or ""
    fine = re.fullmatch(r"[A-Za-z0-9_./-]{1,40}", text)
    return text if fine and not is_secret(right[-1:] + loc[-1:]) else ""


def _homes(name: str, annotation: Any = Inventory, at: Loc = ()) -> Iterator[Loc]:
    """The key paths under which a key of this name is known."""
    model = _model(annotation)
    if model is None:
        inner = [a for a in get_args(annotation) if isinstance(_model(a), type)]
        if inner and at:
            many = ".NAME" if get_origin(annotation) is Mapping else ""
            yield from _homes(name, inner[-1], (*at[:-1], f"{at[-1]}{many}"))
        return
    if name in model.model_fields and at:
        yield at
    for key, field in model.model_fields.items():
        yield from _homes(name, field.annotation, (*at, key))
