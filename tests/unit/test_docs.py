"""What the program can do is in its documentation, and what the documentation says is current."""

import re

import pytest

from pgprovision import errors
from pgprovision.inventory.schema import json_schema
from pgprovision.package_data import packaged_folder
from tests.support import reference_docs

README = reference_docs.DOCS.parent / "README.md"


def subclasses(kind: type[errors.PgprovisionError]) -> set[type[errors.PgprovisionError]]:
    return {kind}.union(*(subclasses(one) for one in kind.__subclasses__()))


@pytest.mark.parametrize("name", reference_docs.generated_pages())
def test_page_when_the_program_changed_then_make_docs_was_run(name: str) -> None:
    assert (reference_docs.DOCS / name).read_text() == reference_docs.generated_pages()[name], (
        "run `make docs`"
    )


def test_exit_codes_when_read_in_the_readme_then_all_of_them_are_there() -> None:
    codes = {0, 1} | {kind.exit_code for kind in subclasses(errors.PgprovisionError)}
    written = re.findall(r"^\| (\d+) \| .", README.read_text(), re.MULTILINE)
    assert sorted(codes) == [int(code) for code in written]
    commands = (reference_docs.DOCS / "commands.md").read_text()
    text = " ".join(commands.partition("Exit codes: ")[2].split())
    assert re.findall(r"(?:^|, )(\d+) [a-z]", text[:300]) == [str(code) for code in sorted(codes)]


def test_template_when_shipped_then_it_is_in_the_documentation() -> None:
    written = re.findall(
        r"^\| `([^`]+\.j2)` \|", (reference_docs.DOCS / "templates.md").read_text(), re.M
    )
    assert sorted(written) == sorted(path.name for path in packaged_folder("templates").iterdir())


def test_command_when_shipped_then_it_says_what_it_does() -> None:
    descriptions = {words: command.__doc__ or "" for words, command in reference_docs.commands()}
    assert "pgprovision explain" in descriptions and "pgprovision secrets init" in descriptions
    assert [words for words, text in descriptions.items() if len(text) < 20] == []
    unsaid = [
        f"{words} {name}"
        for words, command in reference_docs.commands()
        for name, meaning, _ in reference_docs.parameters(command)
        if len(meaning) < 10
    ]
    assert unsaid == []


def test_inventory_key_when_it_can_be_written_then_it_says_what_it_means() -> None:
    models = json_schema.build_schema()
    schemas = {"cluster.yml": models, **models["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, model in schemas.items()
        for key, value in model.get("properties", {}).items()
        if "required" in model and "description" in model and not value.get("description")
    ]
    assert silent == []


def test_inventory_key_when_it_can_be_written_then_an_example_shows_it() -> None:
    """In one of the two inventories that `init` copies for servers, commented where optional."""
    inventories = packaged_folder("inventories")
    text = "".join(
        path.read_text()
        for kind in ("hetzner-example", "static-example")
        for path in (inventories / kind).rglob("*.yml")
    )
    models = json_schema.build_schema()
    keys = {
        key
        for model in [models, *models["$defs"].values()]
        for key in (model.get("properties", {}) if "description" in model else {})
    }
    by_place = {"name", "type", "public_key"}  # the file's or key's own; given as a line of text
    missing = {key for key in keys - by_place if not re.search(rf"\b{key}:", text)}
    assert missing == set()


def test_manual_when_it_links_to_a_page_then_the_page_is_there() -> None:
    """Links between our own pages."""
    for page in [README, *reference_docs.DOCS.glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+\.md)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"
