"""What the models say of a key path: its type, its keys, whether it holds a secret."""

from typing import Any, get_args

from pydantic import BaseModel

from pgprovision.inventory.problems import KeyPath
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.secret import Secret


def annotation_at(loc: KeyPath) -> Any:
    """What the models say stands at this key path; None for what they do not know."""
    current: Any = Inventory
    for part in loc:
        model = model_of(current)
        if model is not None:
            found = model.model_fields.get(str(part))
            if found is None:
                return None
            current = found.annotation
        else:
            inner = [a for a in get_args(current) if a is not Ellipsis and a is not type(None)]
            current = inner[-1] if inner else None
    return current


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The model an annotation is, seen through `| None`."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate if _is_optional(annotation, candidate) else None
    return None


def _is_optional(annotation: Any, model: type[BaseModel]) -> bool:
    return annotation is model or set(get_args(annotation)) == {model, type(None)}


def fields_at(loc: KeyPath) -> tuple[str, ...]:
    """The keys of the mapping at a key path."""
    model = model_of(annotation_at(loc))
    return tuple(model.model_fields) if model else ()


def is_secret(loc: KeyPath) -> bool:
    """Whether a secret is declared at a key path."""
    return _holds_secret(annotation_at(loc))


def is_integer(loc: KeyPath) -> bool:
    """Whether a whole number is declared at a key path."""
    annotation = annotation_at(loc)
    inner = [annotation, *_inner_types(annotation)]
    return int in inner and str not in inner


def is_redacted(loc: KeyPath) -> bool:
    """Whether what is written at a key path is redacted in messages: a secret, a mapping with a
    secret, a key that the models do not know."""
    annotation = annotation_at(loc)
    inner = (annotation, *_inner_types(annotation))
    fields = [f for i in inner if (model := model_of(i)) for f in model.model_fields.values()]
    return (
        annotation is None
        or _holds_secret(annotation)
        or any(_holds_secret(field.annotation) for field in fields)
    )


def _holds_secret(annotation: Any) -> bool:
    return any(inner is Secret for inner in (annotation, *_inner_types(annotation)))


def _inner_types(annotation: Any) -> list[Any]:
    """Every type inside of an annotation: of an alternative, a list, a mapping."""
    return [inner for a in get_args(annotation) for inner in (a, *_inner_types(a))]
