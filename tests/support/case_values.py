"""Values of a case file as a resource has them: by the types of its fields, not by their names."""

import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pgprovision.secret import Secret

HOST = "db-1"  # the target of a resource where its case names none


class CaseError(Exception):
    """A case that cannot be run: its file or class, the key, what was expected."""


def only(what: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raises CaseError where one is not known."""
    names = [*known]
    if unknown := [key for key in given if key not in names]:
        raise CaseError(f"{what} has no {', '.join(unknown)}; it has: {', '.join(names)}")


def build(made: type, values: Mapping[str, Any], where: str) -> Any:
    """A dataclass of these values. A field left out is its default; `on` is HOST; one with
    a class that needs no values is made without."""
    known = {field.name: field for field in fields(made) if field.init}
    only(f"{where}: {made.__name__}", values, known)
    hints = get_type_hints(made)
    given = {"on": HOST, **values} if "on" in known and _required(known["on"]) else dict(values)
    for name in [name for name, field in known.items() if _required(field) and name not in given]:
        if not is_dataclass(hints[name]):
            raise CaseError(f"{where}: {made.__name__} needs {name}: {_text(hints[name])}")
        given[name] = {}
    return made(**{k: _value(hints[k], v, f"{where}: {k}") for k, v in given.items()})


def _required(field: "Field[Any]") -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _value(hint: Any, given: Any, where: str) -> Any:
    """What YAML says, as this type. Raises CaseError where it is of another."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _value(args[0], given, where)
    if origin in (Union, types.UnionType):
        return _one_of(args, given, where)
    if origin is Literal and given in args:
        return given
    if origin is tuple and isinstance(given, list):
        parts = args[:1] * len(given) if args[1:] == (...,) else args
        return tuple(_value(part, one, where) for part, one in zip(parts, given, strict=True))
    if origin is frozenset and isinstance(given, list):
        return frozenset(_value(args[0], one, where) for one in given)
    if origin is Mapping and isinstance(given, dict):
        return {_value(args[0], k, where): _value(args[1], v, where) for k, v in given.items()}
    if hint is Secret and isinstance(given, str):
        return Secret(given)
    if hint is bytes and isinstance(given, str):
        return given.encode()
    if is_dataclass(hint) and isinstance(hint, type) and isinstance(given, dict):
        return build(hint, given, where)
    if hint is float and isinstance(given, int):
        return float(given)
    if isinstance(hint, type) and type(given) is hint:
        return given
    raise CaseError(f"{where}: expected {_text(hint)}, not {given!r}")


def _one_of(hints: tuple[Any, ...], given: Any, where: str) -> Any:
    for hint in hints:
        try:
            return _value(hint, given, where)
        except CaseError as error:
            last = error
    raise last


def _text(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
