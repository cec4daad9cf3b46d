"""Hetzner's API description, brought up to the autumn of 2026, as a judge of answers.

The file is a public rendering of February 2026; `PGPROVISION_HCLOUD_SPEC` names it, else it is
looked for beside the checkout.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS30Validator, oas30_format_checker

Schema = dict[str, Any]
_DEFAULT_SPEC = Path(__file__).parents[3] / "shared/data/hcloud-openapi.json"

_MEMBERS: Schema = {
    "type": "object",
    "required": ["members", "meta"],
    "properties": {
        "meta": {"$ref": "#/components/schemas/meta"},
        "members": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "type", "ip", "alias_ips", "subnet", "status"],
                "properties": {
                    "id": {"type": "integer"},
                    "type": {"type": "string", "enum": ["server", "load_balancer"]},
                    "ip": {"type": "string"},
                    "alias_ips": {"type": "array", "items": {"type": "string"}},
                    "subnet": {"type": "string"},
                    "status": {
                        "type": "string",
                        "enum": ["ok", "attaching", "detaching", "updating", "error"],
                    },
                },
            },
        },
    },
}


def spec_path() -> Path | None:
    path = Path(os.environ.get("PGPROVISION_HCLOUD_SPEC") or _DEFAULT_SPEC)
    return path if path.is_file() else None


class ResponseValidator:
    """Says what is wrong with an answer."""

    def __init__(self, path: Path) -> None:
        self._spec = json.loads(path.read_text())
        _bring_up_to_date(self._spec)

    def problems(self, method: str, path: str, status: int, body: Any) -> list[str]:
        """`path` is what follows /v1; `body` is the decoded JSON, None for an empty answer."""
        responses = self._responses(method.lower(), path)
        response = responses.get(str(status)) or responses.get(f"{status // 100}XX")
        response = response or responses.get(f"{status // 100}xx") or responses.get("default")
        if response is None:
            return [f"{method} {path}: {status} is not documented"]
        if not (content := response.get("content")):
            return [] if body is None else [f"{method} {path}: {status} should have no body"]
        schema = next(iter(content.values()))["schema"]
        full_schema = schema | {"components": self._spec["components"]}
        if "$ref" in schema:
            full_schema = {"allOf": [schema], "components": self._spec["components"]}
        validator = OAS30Validator(full_schema, format_checker=oas30_format_checker)
        return [
            f"{method} {path} {status}: {'/'.join(map(str, error.absolute_path))}: {error.message}"
            for error in validator.iter_errors(body)
        ]

    def _responses(self, method: str, path: str) -> Schema:
        """Of the matching path with the fewest placeholders."""
        for documented in sorted(self._spec["paths"], key=lambda known: known.count("{")):
            pattern = re.sub(r"\{\w+\}", "[^/]+", documented)
            if re.fullmatch(pattern, path) and method in self._spec["paths"][documented]:
                responses: Schema = self._spec["paths"][documented][method]["responses"]
                return responses
        return {}


def _bring_up_to_date(spec: Schema) -> None:
    """What changed since February 2026, and what the rendering has wrong."""
    schemas = spec["components"]["schemas"]
    _nullable_references(spec)
    for schema in _objects(spec):
        properties = schema["properties"]
        if properties.pop("datacenter", None) is not None:  # gone since 2026-07-01
            schema["required"] = [n for n in schema.get("required", []) if n != "datacenter"]
        if "assignee_type" in properties:  # since 2026-08-01
            properties["assignee_type"]["enum"] = ["server", "unassigned"]
    _require(schemas["server"], "location", "placement_group", "volumes")
    _require(schemas["ipv4"], "id")
    _require(schemas["ipv6"], "id")
    _require(schemas["server_private_net"], "network", "ip", "alias_ips", "mac_address")
    flag = {"type": "boolean"}
    schemas["server_type_location"]["properties"] |= {"available": flag, "recommended": flag}
    _require(schemas["server_type_location"], "available", "recommended")
    deprecation = {"anyOf": [_NULL, {"$ref": "#/components/schemas/deprecation_info"}]}
    schemas["image"]["properties"]["deprecation"] = deprecation
    _require(schemas["image"], "deprecation")
    _require(schemas["server_type"], "deprecation", "category")
    answer = {"description": "", "content": {"application/json": {"schema": _MEMBERS}}}
    spec["paths"]["/networks/{id}/members"] = {
        "get": {"responses": {"200": answer, "4XX": _error_answer()}}
    }
    for schema in _objects(spec):
        schema.setdefault("additionalProperties", False)


_NULL: Schema = {"nullable": True, "enum": [None]}


def _error_answer() -> Schema:
    schema = {"$ref": "#/components/schemas/error_response"}
    return {"description": "", "content": {"application/json": {"schema": schema}}}


def _require(schema: Schema, *names: str) -> None:
    schema["required"] = sorted({*schema.get("required", []), *names})


def _nullable_references(node: Any) -> None:
    """`nullable` beside `allOf` refuses null; say "null or that" instead."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in list(children):
        _nullable_references(child)
    if isinstance(node, dict) and node.get("nullable") is True and "allOf" in node:
        reference = {"allOf": node.pop("allOf")}
        del node["nullable"]
        node["anyOf"] = [_NULL, reference]


def _objects(node: Any) -> list[Schema]:
    """Every schema with properties. Of the 2xx and error answers and the named schemas alike."""
    found = []
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict) and node.get("type") == "object":
            found.append(node)
        for child in node.values():
            found += _objects(child)
    elif isinstance(node, list):
        for child in node:
            found += _objects(child)
    return found
