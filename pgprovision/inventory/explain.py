"""pydantic's errors as complaints a person can act on."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from pgprovision.inventory.complaint import Complaint, Loc, dotted, listed, nearest
from pgprovision.inventory.document import Document
from pgprovision.inventory.model import Inventory

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
_SECRETS = frozenset({"token", "password", "key", "key_secret", "cipher_pass", "ca_key"})


def explained(error: ValidationError, document: Document) -> Iterator[Complaint]:
    """One complaint for each error, without those at places that already have one."""
    spoiled = {complaint.key for complaint in document.complaints if complaint.key}
    found = [(_written(wrong["loc"], document), wrong) for wrong in error.errors(include_url=False)]
    around = {loc[:n] for loc in [*spoiled, *(loc for loc, _ in found)] for n in range(len(loc))}
    for loc, wrong in found:
        if loc not in around and not any(loc[:n] in spoiled for n in range(len(loc) + 1)):
            text = _text(wrong, loc, document)
            yield complaint(document, loc, text, at_key=wrong["type"] == "extra_forbidden")


def _written(loc: Loc, document: Document) -> Loc:
    """The key path as it stands in the file: a name may be the key itself, or the file's."""
    loc = tuple(part for part in loc if part != "[key]")
    return loc[:-1] if loc[-1:] == ("name",) and len(loc) == 3 and loc not in document.keys else loc


def complaint(document: Document, loc: Loc, text: str, at_key: bool = False) -> Complaint:
    """A complaint at a key path: at a scalar itself, else at its key, else at what is around."""
    held = loc
    while held and held not in document.places:
        held = held[:-1]
    if held in document.keys and (at_key or held not in document.texts):
        return Complaint(document.keys[held], loc, text)
    return Complaint(document.places[held], loc, text)


def shown(document: Document, loc: Loc) -> str:
    """What was written there, where it may be shown."""
    text = document.texts.get(loc)
    if text is None or not loc or loc[-1] in _SECRETS:
        return ""
    return f"{text[:40]!r}: " if text else "empty: "


def _text(wrong: Mapping[str, Any], loc: Loc, document: Document) -> str:
    kind, value = str(wrong["type"]), wrong["input"]
    if kind == "missing":
        return "missing" + _expected(loc)
    if kind == "extra_forbidden":
        return _unknown(loc)
    if kind == "value_error":
        return shown(document, loc) + str(wrong["ctx"]["error"])
    if kind == "literal_error":
        known = [str(word) for word in get_args(_annotation(loc))]
        return f"{shown(document, loc)}expected {wrong['ctx']['expected']}" + (
            nearest(str(value), known) if isinstance(value, str) else ""
        )
    if kind in _SHAPES:
        found = shown(document, loc)
        if value is None:
            found = "empty: "
        elif isinstance(value, list | dict):
            found = "a list: " if isinstance(value, list) else "a mapping: "
        hint = ""
        if kind == "string_type" and isinstance(value, bool | int | float) and found:
            hint = f"; write '{document.texts.get(loc)}' in quotes"
        return f"{found}expected {_SHAPES[kind]}{hint}"
    message = str(wrong["msg"]).replace("Input should be", "expected a value")
    return shown(document, loc) + message.replace("Tuple should have", "expected").lower()


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


def _unknown(loc: Loc) -> str:
    name, known = str(loc[-1]), _fields(loc[:-1])
    plain = name.lower().replace("-", "_")
    if plain in known:
        return f"unknown key; expected {plain}"
    if hint := nearest(name, known):
        return f"unknown key{hint}"
    if homes := sorted({dotted(home) for home in _homes(plain)}):
        return f"unknown key here; it belongs under {listed(homes)}"
    return f"unknown key; expected one of {', '.join(sorted(known))}"


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
