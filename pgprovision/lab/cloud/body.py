"""The JSON body of a request, taken apart field by field with the API's own errors."""

import re
from typing import Any, TypeVar

from pgprovision.lab.cloud.errors import invalid_input
from pgprovision.lab.cloud.labels import check_labels

T = TypeVar("T")

_HOSTNAME = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)  # RFC 1123


class RequestBody:
    """A null is as good as an absent field. Every method raises invalid_input."""

    def __init__(self, doc: dict[str, Any], where: str = "") -> None:
        self._doc = doc
        self._where = where

    def __contains__(self, name: str) -> bool:
        return self._doc.get(name) is not None

    def text(self, name: str, default: str | None = None, max_length: int = 255) -> str:
        value = self._get(name, str, default)
        if len(value) > max_length:
            raise invalid_input(self._where + name, f"longer than {max_length} characters")
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str | None = None) -> str:
        value = self._get(name, str, default)
        if value not in choices:
            raise invalid_input(self._where + name, f"must be one of {', '.join(choices)}")
        return value

    def name(self, max_length: int = 128) -> str:
        value = self.text("name", max_length=max_length)
        if not value.strip():
            raise invalid_input(self._where + "name", "must not be empty")
        return value

    def hostname(self) -> str:
        value = self.text("name")
        if not _HOSTNAME.fullmatch(value):
            raise invalid_input(self._where + "name", "must be a valid hostname (RFC 1123)")
        return value

    def number(self, name: str, default: int | None = None) -> int:
        value = self._get(name, int, default)
        if isinstance(value, bool):
            raise invalid_input(self._where + name, "must be of type integer")
        return value

    def seconds(self, name: str) -> float:
        value = self._doc.get(name) or 0.0
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise invalid_input(self._where + name, "must be a number")
        return float(value)

    def flag(self, name: str, default: bool | None = None) -> bool:
        return self._get(name, bool, default)

    def ref(self, name: str) -> str:
        """An object by id or name; clients send a number or a text."""
        value = self._doc.get(name)
        if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
            raise invalid_input(self._where + name, "must be an ID or a name")
        return str(value)

    def refs(self, name: str) -> list[str]:
        return [RequestBody({name: value}).ref(name) for value in self._list(name)]

    def numbers(self, name: str) -> list[int]:
        return [RequestBody({name: value}).number(name) for value in self._list(name)]

    def texts(self, name: str) -> list[str]:
        return [RequestBody({name: value}).text(name) for value in self._list(name)]

    def nested(self, name: str) -> "RequestBody":
        return RequestBody(self._get(name, dict, {}), f"{self._where}{name}.")

    def nested_list(self, name: str) -> list["RequestBody"]:
        return [RequestBody({name: value}).nested(name) for value in self._list(name)]

    def labels(self) -> dict[str, str]:
        return check_labels(self._get("labels", dict, {}))

    def _list(self, name: str) -> list[Any]:
        return self._get(name, list, [])

    def _get(self, name: str, kind: type[T], default: T | None) -> T:
        value = self._doc.get(name)
        if value is None:
            if default is None:
                raise invalid_input(self._where + name, "missing required field")
            return default
        if not isinstance(value, kind):
            raise invalid_input(self._where + name, f"must be of type {kind.__name__}")
        return value
