"""S52, V17, B38 to B56: hostile text in every field of the inventory. Each ends in exit code 2 or
is taken exactly, and what is taken is read back exactly from what is rendered of it.

The fields come from the models, so that a new one is covered by itself.
"""

import ctypes
import ctypes.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from pgprovision.inventory.loader.loader import fill_in, read_documents, validate
from pgprovision.inventory.loader.yaml_document import parse_document
from pgprovision.inventory.problems import BadInventory, KeyPath, SourcePosition, dotted_path
from pgprovision.inventory.reference import Reference
from pgprovision.inventory.resolver import Resolver
from pgprovision.inventory.schema.cluster import Inventory
from pgprovision.inventory.schema.examples import example_line
from pgprovision.inventory.schema.types import SecretText, SettingValue
from pgprovision.quote import conf, conninfo, pgpass
from pgprovision.resources.postgres.configuration import pg_hba_parser
from pgprovision.resources.postgres.configuration.pg_hba_rules import SCRAM, HbaRule
from pgprovision.resources.postgres.configuration.settings_parser import parse_values
from pgprovision.secret import Secret
from tests.support.injection_strings import EMBEDDED_STRINGS, INJECTION_STRINGS
from tests.support.inventory_folders import HETZNER_CLUSTER, InventoryFolder, hetzner_inventory

HOSTILE = (*INJECTION_STRINGS, *EMBEDDED_STRINGS)
KEYS = {
    "roles": "rails", "databases": "hcb_production", "settings": "work_mem",
    "sysctl": "vm.swappiness",
}  # fmt: skip
MORE = """\
roles:
  rails: {password: !file secrets/rails.password}
databases:
  hcb_production: {owner: rails}
backup:
  repository: {bucket: hcb-backups, endpoint: s3.example.org, region: lab, key: !file key,
    key_secret: !file key_secret, path: /hcb-lab}
"""
NOT_WRITTEN = ("folder",)
REFERENCE = Reference("!file", ("x",), SourcePosition(Path("x")))


@dataclass(frozen=True)
class Field:
    """A place of an inventory where text may stand."""

    loc: KeyPath
    type: Any

    def __str__(self) -> str:
        return dotted_path(self.loc)


def fields(annotation: Any = Inventory, loc: KeyPath = ()) -> Iterator[Field]:
    """Every leaf of the models, and every key of a mapping."""
    inner = annotation
    while get_origin(inner) is Annotated:
        inner = get_args(inner)[0]
    args = [a for a in get_args(inner) if a is not type(None)]
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        for key, field in inner.model_fields.items():
            if key not in NOT_WRITTEN:
                metadata = tuple(field.metadata)
                own = Annotated[field.annotation, *metadata] if metadata else field.annotation
                yield from fields(own, (*loc, key))
    elif get_origin(inner) is tuple:
        yield from fields(args[0], (*loc, 0))
    elif get_origin(inner) is Mapping:
        yield Field((*loc, "[key]"), args[0])
        yield from fields(args[1], (*loc, KEYS[str(loc[-1])]))
    elif type(None) in get_args(inner) and len(args) == 1:
        yield from fields(args[0], loc)
    else:
        yield Field(loc, annotation)


FIELDS = [field for field in fields() if field.loc[-1] != "name" or field.loc[0] == "hetzner"]


def taken(field: Field, text: str) -> Any:
    """What the field makes of a text; ValidationError where it is refused."""
    secret = Secret in (field.type, *get_args(field.type))
    value = REFERENCE if secret else text
    resolver = Resolver(Path("/folder"), {}).with_value("!file", "x", Secret(text, "!file x"))
    return TypeAdapter(field.type, config={"arbitrary_types_allowed": True}).validate_python(
        value, context={"folder": Path("/folder"), "resolver": resolver}
    )


def same(value: Any, text: str) -> bool:
    """Whether a value is the text exactly."""
    if isinstance(value, Secret):
        return value.text() == text
    if isinstance(value, Path):
        return value == Path("/folder") / Path(text).expanduser()
    return str(value) == text


def accepted(field: Field) -> list[str]:
    """What a field takes of all hostile text."""
    found = []
    for text in HOSTILE:
        try:
            value = taken(field, text)
        except ValidationError:
            continue
        assert same(value, text), f"{field}: {text!r} became {value!r}"
        found.append(text)
    return found


def test_there_are_enough_of_both() -> None:
    assert len(set(HOSTILE)) >= 200
    assert len(FIELDS) >= 100


@pytest.mark.covers("S52")
@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_hostile_text_is_refused_or_taken_exactly(field: Field) -> None:
    for text in accepted(field):
        fine = text.isprintable() or Secret in (field.type, *get_args(field.type))
        assert fine, f"{field} takes {text!r}"
        assert "\0" not in text and "\n" not in text, f"{field} takes {text!r}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> InventoryFolder:
    found = hetzner_inventory(tmp_path_factory.mktemp("hostile"), HETZNER_CLUSTER + MORE)
    names = ("key", "key_secret", "secrets/rails.password", "secrets/pgbackrest.passphrase")
    for name in names:
        found.write(name, f"something-long-and-secret-for-{name.replace('/', '-')}")
    assert found.problems() == []
    return found


def ended(folder: InventoryFolder, field: Field, text: str) -> Inventory | BadInventory:
    """An inventory with this text in this field, its other keys right."""
    resolver = Resolver(folder.path, {}).with_value("!file", "x", Secret(text, "!file x"))
    document = read_documents(folder.path)
    secret = Secret in (field.type, *get_args(field.type))
    put(document.value, field.loc, REFERENCE if secret else text)
    fill_in(document)
    try:
        return validate(document, resolver)
    except BadInventory as wrong:
        return wrong


def put(container: Any, loc: KeyPath, value: object) -> None:
    """The value there; what is around it, where nothing is, from the models' examples."""
    for depth, part in enumerate(loc[:-1], 1):
        there = part in container if isinstance(container, dict) else len(container) > int(part)
        if not there or not isinstance(container[part], dict | list):
            made = parse_document(Path("x"), example_line(loc[:depth]).encode()).value
            if isinstance(container, dict):
                container |= made
            else:
                container[:1] = made
        container = container[part]
    last = loc[-1]
    if last == "[key]":
        spare: Any = next(iter(container.values()), {})
        container[value] = dict(spare) if isinstance(spare, dict) else spare
    elif isinstance(container, list) and len(container) <= int(last):
        container.append(value)
    else:
        container[last] = value


@pytest.mark.covers("S52")
@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_inventory_with_hostile_text_ends_in_exit_code_2_or_holds_it(
    folder: InventoryFolder, field: Field
) -> None:
    for text in [*accepted(field), *HOSTILE[:: len(HOSTILE) // 6]]:
        end = ended(folder, field, text)
        if isinstance(end, BadInventory):
            assert end.exit_code == 2 and end.problems
            continue
        value: Any = end
        for part in field.loc:
            if part != "[key]":
                value = getattr(value, str(part)) if isinstance(value, BaseModel) else value[part]
        if field.loc[-1] == "[key]":
            assert text in value
        elif isinstance(value, Path):
            assert value == folder.path / Path(text).expanduser()
        else:
            assert same(value, text)


def of_type(kind: Any) -> list[str]:
    """Hostile text that this type takes."""
    return accepted(Field(("any",), kind))


@pytest.mark.covers("V16")
def test_setting_when_rendered_is_read_back() -> None:
    texts = of_type(SettingValue)
    assert len(texts) > 100
    found = parse_values("".join(f"s{i} = {conf(text)}\n" for i, text in enumerate(texts)))
    assert [found[f"s{i}"] for i in range(len(texts))] == texts


@pytest.mark.covers("V16")
def test_name_when_in_a_rule_is_read_back() -> None:
    names = [text for field in FIELDS if field.loc[-1] == "[key]" for text in accepted(field)]
    for name in names:
        rule = HbaRule("hostssl", (name,), (name,), SCRAM, str(IPv4Network("10.0.0.0/16")))
        (found,) = pg_hba_parser.parse_pg_hba(rule.line)
        assert (found.databases, found.users) == (rule.databases, rule.users)


@pytest.mark.covers("V16")
def test_password_when_in_a_password_file_is_read_back_by_libpq(tmp_path: Path) -> None:
    libpq, file = _libpq(), tmp_path / "passfile"
    texts = of_type(SecretText)
    assert len(texts) > 100
    for text in texts:
        file.write_text(":".join(map(pgpass, ("127.0.0.1", "1", "d", "u", text))) + "\n")
        file.chmod(0o600)
        conninfo_text = f"host=127.0.0.1 port=1 dbname=d user=u passfile={conninfo(str(file))}"
        connection = libpq.PQconnectdb(conninfo_text.encode())  # nobody answers there
        assert libpq.PQpass(connection) == text.encode()
        libpq.PQfinish(connection)


@pytest.mark.covers("V16")
def test_password_when_in_a_connection_string_is_read_back_by_libpq() -> None:
    libpq = _libpq()
    for text in of_type(SecretText):
        found = libpq.PQconninfoParse(f"password={conninfo(text)} port='1'".encode(), None)
        assert bool(found), text
        values = {}
        for option in found:
            if not option.keyword:
                break
            values[option.keyword] = option.val
        assert (values[b"password"], values[b"port"]) == (text.encode(), b"1")


def _libpq() -> ctypes.CDLL:
    """PostgreSQL's own reader of both."""
    library = ctypes.util.find_library("pq")
    if library is None:
        pytest.skip("libpq is not installed")
    libpq = ctypes.CDLL(library)
    libpq.PQconninfoParse.restype = ctypes.POINTER(_Option)
    libpq.PQconnectdb.restype = ctypes.c_void_p
    libpq.PQpass.argtypes = libpq.PQfinish.argtypes = [ctypes.c_void_p]
    libpq.PQpass.restype = ctypes.c_char_p
    return libpq


class _Option(ctypes.Structure):
    """PQconninfoOption, as libpq-fe.h has it."""

    _fields_ = (
        ("keyword", ctypes.c_char_p),
        ("envvar", ctypes.c_char_p),
        ("compiled", ctypes.c_char_p),
        ("val", ctypes.c_char_p),
        ("label", ctypes.c_char_p),
        ("dispchar", ctypes.c_char_p),
        ("dispsize", ctypes.c_int),
    )
