"""Labels and label selectors, as the API documents them."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pgprovision.lab.cloud.errors import invalid_input

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_KEY = rf"(?:(?=[^/]{{1,253}}/)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?/)?{_NAME}"
_VALUE = rf"(?:{_NAME})?"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s+\(([^()]*)\)")
_EQUAL = re.compile(rf"({_KEY})\s*(==|=|!=)\s*({_VALUE})")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")

Labels = Mapping[str, str]
Selector = Callable[[Labels], bool]


def check_labels(labels: Mapping[str, Any]) -> dict[str, str]:
    """Raises invalid_input for a key or value the API would not take."""
    for key, value in labels.items():
        if not re.fullmatch(_KEY, key) or key.startswith("hetzner.cloud/"):
            raise invalid_input("labels", f"invalid label key '{key}'")
        if not isinstance(value, str) or not re.fullmatch(_VALUE, value):
            raise invalid_input("labels", f"invalid value of label '{key}'")
    return dict(labels)


def parse_selector(text: str) -> Selector:
    """`k==v`, `k=v`, `k!=v`, `k`, `!k`, `k in (a,b)`, `k notin (a,b)`; a comma means and."""
    terms = [_term(part.strip()) for part in re.split(r",(?![^()]*\))", text)]
    return lambda labels: all(term(labels) for term in terms)


def _term(text: str) -> Selector:
    if match := _SET.fullmatch(text):
        key, operator, listed = match.groups()
        values = {value.strip() for value in listed.split(",")}
        if all(re.fullmatch(_VALUE, value) for value in values):
            if operator == "in":
                return lambda labels: labels.get(key) in values
            return lambda labels: labels.get(key) not in values
    elif match := _EQUAL.fullmatch(text):
        key, operator, value = match.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    elif match := _EXISTS.fullmatch(text):
        negated, key = match.groups()
        return lambda labels: (key in labels) is not bool(negated)
    raise invalid_input("label_selector", f"malformed label selector at '{text}'")
