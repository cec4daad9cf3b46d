"""Sorting and paging of lists."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from pgprovision.lab.cloud.call import ApiCall, ApiResponse
from pgprovision.lab.cloud.errors import invalid_input
from pgprovision.lab.cloud.store import Doc

DEFAULT_PER_PAGE = 25
MAX_PER_PAGE = 50


def sort_documents(call: ApiCall, docs: Sequence[Doc], allowed: tuple[str, ...]) -> list[Doc]:
    """By every `sort_documents=field[:asc|:desc]` given, the first weighing most; else by id."""
    ordered = sorted(docs, key=lambda doc: int(doc["id"]))
    for text in reversed(call.query.getlist("sort")):
        name, _, direction = text.partition(":")
        if name not in allowed or direction not in ("", "asc", "desc"):
            raise invalid_input("sort", f"cannot sort by '{text}'")
        ordered.sort(key=lambda doc: _key(doc[name]), reverse=direction == "desc")
    return ordered


def _key(value: Any) -> tuple[bool, Any]:
    return (value is not None, value)  # nulls first, and never compared with anything else


def paginate(
    call: ApiCall, plural: str, docs: Sequence[Doc], view: Callable[[Doc], Doc]
) -> ApiResponse:
    """One page with `meta.pagination` and the Link header."""
    number = _positive(call, "page", 1)
    size = min(_positive(call, "per_page", DEFAULT_PER_PAGE), MAX_PER_PAGE)
    last = max(1, -(-len(docs) // size))
    pagination = {
        "page": number,
        "per_page": size,
        "previous_page": number - 1 if number > 1 else None,
        "next_page": number + 1 if number < last else None,
        "last_page": last,
        "total_entries": len(docs),
    }
    shown = [view(doc) for doc in docs[(number - 1) * size : number * size]]
    links = {"prev": pagination["previous_page"], "next": pagination["next_page"], "last": last}
    other_parameters = [
        (k, v) for k, v in call.query.multi_items() if k not in ("page", "per_page")
    ]
    link = ", ".join(
        f"<{call.url}?{urlencode([*other_parameters, ('page', to), ('per_page', size)])}>; "
        f'rel="{rel}"'
        for rel, to in links.items()
        if to
    )
    return ApiResponse({plural: shown, "meta": {"pagination": pagination}}, link=link)


def _positive(call: ApiCall, name: str, default: int) -> int:
    text = call.query.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise invalid_input(name, "must be a number from 1 on")
    return int(text)
