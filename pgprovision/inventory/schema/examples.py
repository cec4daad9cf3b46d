"""What could stand at a key path instead: a line that loads, made from the models."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pgprovision.inventory.problems import KeyPath
from pgprovision.inventory.schema.cluster import HetznerSpec, Inventory
from pgprovision.inventory.schema.types import Described, is_filled_in
from pgprovision.quote import conf


def example_line(loc: KeyPath, value: str = "") -> str:
    """`key: value` or `- value` for the last part of a key path; nothing where nobody knows."""
    value = value or _example_at(loc)
    if not value or not loc:
        return ""
    return f"- {value}" if isinstance(loc[-1], int) else f"{loc[-1]}: {value}"


def setting_text(value: object) -> str:
    """A setting's value as people write it."""
    text = ("on" if value else "off") if isinstance(value, bool) else str(value)
    return text if re.fullmatch(r"[A-Za-z0-9_./-]+", text) else conf(value)


def nested_line(loc: KeyPath, value: str) -> str:
    """The same from the top of the file, in one line.

    >>> nested(("ssh", "port"), "22")
    'ssh: {port: 22}'
    """
    first, *rest = loc
    for part in reversed(rest):
        value = f"{{{part}: {value}}}"
    return f"{first}: {value}"


def _example_at(loc: KeyPath) -> str:
    """The example of whatever stands at a key path."""
    annotation, field = field_at(loc)
    name = ".".join(str(part) for part in loc[-2:] if isinstance(part, str))
    if field is not None and field.default == "":
        field = HetznerSpec.model_fields.get(name.rpartition(".")[2], field)
    return _example_of(annotation, field, name)


def field_at(loc: KeyPath) -> tuple[Any, FieldInfo | None]:
    """The type at a key path, and the field that says more; None where there is none."""
    annotation: Any = Inventory
    field: FieldInfo | None = None
    for part in loc:
        annotation = _without_none(annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(part))
            if field is None:
                return None, None
            annotation = field.annotation
        else:
            field, inner = None, [a for a in get_args(annotation) if a is not Ellipsis]
            annotation = inner[-1] if inner else None
    return annotation, field


def example_key(loc: KeyPath) -> str:
    """A name for the first key of the mapping at a key path; nothing where it is none."""
    annotation, _ = field_at(loc)
    return (
        _example_of(get_args(annotation)[0], None, "") if get_origin(annotation) is Mapping else ""
    )


def _without_none(annotation: Any) -> Any:
    """The type itself, seen through Annotated and `| None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    inner = [a for a in get_args(annotation) if a is not type(None)]
    return _without_none(inner[0]) if type(None) in get_args(annotation) else annotation


def _example_of(annotation: Any, field: FieldInfo | None, name: str) -> str:
    metadata = list(field.metadata) if field else []
    default = field.default if field else None
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        metadata += more
    described = next((found for found in metadata if isinstance(found, Described)), Described(""))
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, int | str) and default != "" and not described.yaml_type:
        return str(default)
    if described.example:
        return described.example.replace("NAME", name)
    args = [a for a in get_args(annotation) if a is not type(None)]
    if get_origin(annotation) is Literal:
        return str(args[0])
    if type(None) in get_args(annotation):
        return _example_of(args[0], None, name)
    if get_origin(annotation) is tuple:
        return f"[{_example_of(args[0], None, name)}]"
    if get_origin(annotation) is Mapping:
        return f"{{{_example_of(args[0], None, name)}: {_example_of(args[1], None, name)}}}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        needed = {
            key: _example_of(inner.annotation, inner, f"{name.rpartition('.')[2]}.{key}")
            for key, inner in annotation.model_fields.items()
            if inner.is_required() and not is_filled_in(inner)
        }
        return "{" + ", ".join(f"{key}: {value}" for key, value in needed.items()) + "}"
    if annotation is bool:
        return "true"
    return str(next((m.ge for m in metadata if hasattr(m, "ge")), 1)) if annotation is int else ""
