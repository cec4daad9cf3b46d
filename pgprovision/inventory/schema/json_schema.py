"""The inventory as a JSON Schema, for editors: made from the models, so that it cannot disagree.

The root describes cluster.yml, `#/$defs/Node` a file in nodes/. Draft 7, as YAML language servers
read it. To them `!env NAME` and `!file PATH` are text, `!env {...}` is a mapping, `!command [...]`
a list: wherever text or a number may stand, those may stand too.
"""

import ast
import inspect
import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema

from pgprovision.inventory.schema import backup, cluster, drill, restore, watch
from pgprovision.inventory.schema.types import is_filled_in
from pgprovision.quantity import format_bytes

JsonSchema = dict[str, Any]
SCHEMA_FILE = "inventory.schema.json"  # what it is called beside an inventory
YAML_TAGS = ("!env scalar", "!env mapping", "!file scalar", "!command sequence")
_MODULES = (cluster, backup, drill, restore, watch)  # where the classes stand
_INTERNAL = ("folder", "nodes")
_ELSEWHERE: JsonSchema = {
    "elsewhere": {
        "title": "resolved value: !env NAME, !env {name: NAME, default: TEXT}, !command [...]",
        "anyOf": [
            {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            {
                "type": "object",
                "properties": {"name": {"type": "string"}, "default": {"type": "string"}},
                "required": ["name"],
                "additionalProperties": False,
            },
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
        ],
    },
    "text": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/elsewhere"}]},
}


def build_schema() -> JsonSchema:
    """The whole schema."""
    inventory_schema = cluster.Inventory.model_json_schema(schema_generator=_Generator)
    models: dict[str, JsonSchema] = {**inventory_schema.pop("$defs"), "Inventory": inventory_schema}
    meanings = _field_docs()
    for name, found in models.items():
        keys: JsonSchema = found["properties"]
        for key in _INTERNAL:
            keys.pop(key, None)
        for key, value in keys.items():
            classes = [made.__name__ for made in _model_named(name).__mro__]
            meaning = next((meanings[c, key] for c in classes if (c, key) in meanings), "")
            keys[key] = {**_value_schema(value), "description": meaning}
        declared = _model_named(name).model_fields
        required = [
            key
            for key in found.get("required", ())
            if key in keys and not is_filled_in(declared[key])
        ]
        about = " ".join(str(_model_named(name).__doc__).split("\n\n")[0].split())
        found |= {"title": name, "description": about, "required": required}
    root = models.pop("Inventory")
    document = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **root,
        "$defs": {**models, **_ELSEWHERE},
    }
    schema: JsonSchema = _with_public_names(document)
    return schema


def schema_text() -> str:
    """The same as a file."""
    return json.dumps(build_schema(), indent=2, ensure_ascii=False) + "\n"


class _Generator(GenerateJsonSchema):
    def is_instance_schema(self, schema: CoreSchema) -> JsonSchemaValue:
        return {"type": "string"}  # a Secret

    def get_title_from_name(self, name: str) -> str:
        return ""  # only words of ours

    def get_flattened_anyof(self, schemas: list[JsonSchemaValue]) -> JsonSchemaValue:
        """Without null: a key that is not wanted is left out."""
        return super().get_flattened_anyof([s for s in schemas if s.get("type") != "null"])


def _with_public_names(part: Any) -> Any:
    """The same with the models called as people call them: `Role`, not `RoleSpec`."""
    match part:
        case {"$ref": str(reference), **rest}:
            return {"$ref": reference.removesuffix("Spec"), **_with_public_names(rest)}
        case dict():
            named = {key.removesuffix("Spec"): _with_public_names(v) for key, v in part.items()}
            if isinstance(title := named.get("title"), str):
                named["title"] = title.removesuffix("Spec")
            return named
        case list():
            return [_with_public_names(item) for item in part]
    return part


def _model_named(name: str) -> type[BaseModel]:
    """A class of the inventory by its name."""
    page = next(page for page in _MODULES if hasattr(page, name))
    found: type[BaseModel] = getattr(page, name)
    return found


def _field_docs() -> dict[tuple[str, str], str]:
    """The text below each key of the models, by class and key."""
    found = {}
    parsed = (ast.parse(inspect.getsource(page)) for page in _MODULES)
    for statement in (made for page in parsed for made in page.body):
        if isinstance(statement, ast.ClassDef):
            for key, text in zip(statement.body, statement.body[1:], strict=False):
                if isinstance(key, ast.AnnAssign) and isinstance(text, ast.Expr):
                    meaning = " ".join(str(ast.literal_eval(text.value)).split())
                    found[statement.name, ast.unparse(key.target)] = meaning
    return found


def _value_schema(value: JsonSchema) -> JsonSchema:
    """A key's value as it stands in YAML: what may come from elsewhere, defaults as people write
    them, no default where there is none to write."""
    title = {"title": value["title"]} if value.get("title") else {}
    default = value.get("default")
    plain = isinstance(default, str | int | float) and default != ""
    common = {**title, **({"default": default} if plain else {})}
    match value:
        case {"enum": _} | {"const": _}:
            return {**common, "enum": value.get("enum", [value.get("const")])}
        case {"type": "string"}:
            if isinstance(default, int):
                common["default"] = format_bytes(default)
            return {**common, "$ref": "#/$defs/text"}
        case {"type": "integer"}:
            limits = {"minimum": ("minimum", "ge"), "maximum": ("maximum", "le")}
            found = {
                k: value[name] for k, names in limits.items() for name in names if name in value
            }
            return {
                **common,
                "anyOf": [{"type": "integer", **found}, {"$ref": "#/$defs/elsewhere"}],
            }
        case {"type": "array", "items": items}:
            min_items = {"minItems": value["minItems"]} if "minItems" in value else {}
            return {**common, "type": "array", "items": _value_schema(items), **min_items}
        case {"type": "object", "additionalProperties": inner}:
            return {**common, "type": "object", "additionalProperties": _value_schema(inner)}
        case {"anyOf": _}:
            return {**common, "type": ["boolean", "number", "string"]}
        case {"$ref": "#/$defs/SshKeySpec"}:
            return {"anyOf": [{"$ref": "#/$defs/text"}, {"$ref": value["$ref"]}]}
        case {"$ref": reference}:
            return {"$ref": reference}
    return {**common, "type": value["type"]}
