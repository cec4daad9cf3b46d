"""References where no secret is declared: the field gets their text."""

import re
from collections.abc import Iterator
from typing import Any

from pgprovision.inventory.loader.validation_errors import problem_at
from pgprovision.inventory.loader.yaml_document import UNRESOLVED, Document
from pgprovision.inventory.problems import KeyPath
from pgprovision.inventory.reference import Reference
from pgprovision.inventory.resolver import Resolver
from pgprovision.inventory.schema.fields import annotation_at, is_integer, is_secret

_INTEGER = re.compile("-?[0-9]{1,18}")


def resolve_plain_text(document: Document, resolver: Resolver) -> None:
    """Replaces references in the document by their text. Two stay: where a secret is declared, the
    field's own validator resolves it; where the models know no key, nobody reads it."""
    for mapping, key, loc, reference in list(_references(document.value, ())):
        if annotation_at(loc) is None or is_secret(loc):
            continue
        try:
            text = resolver.plain_text(reference)
        except ValueError as error:
            document.problems.append(problem_at(document, loc, str(error)))
            text = UNRESOLVED
        is_number = is_integer(loc) and _INTEGER.fullmatch(text)
        mapping[key] = int(text) if is_number else text


def _references(value: Any, at: KeyPath) -> Iterator[tuple[Any, Any, KeyPath, Reference]]:
    """Every reference in a mapping or list: what it is in, its key there, its key path."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        loc = (*at, key)
        if isinstance(item, Reference):
            yield value, key, loc, item
        elif isinstance(item, dict | list):
            yield from _references(item, loc)
