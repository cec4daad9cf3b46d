"""Templates: the people's own first, nothing undefined, nothing secret by accident."""

from pathlib import Path

import pytest

from pgprovision.errors import InventoryError
from pgprovision.render import packaged_templates, render, render_secret
from pgprovision.secret import Secret


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    return tmp_path


def _write(folder: Path, text: str, name: str = "test.j2") -> None:
    (folder / "templates" / name).write_text(text)


def test_own_template_goes_before_the_shipped_one(folder: Path) -> None:
    name = sorted(path.name for path in packaged_templates().glob("*.j2"))[0]
    _write(folder, "mine\n", name)
    assert render(name, folder) == "mine\n"


def test_shipped_template_is_found_without_an_inventory() -> None:
    assert "[Service]" in render("postgresql-override.conf.j2", making="/data/note")


def test_value_is_inert_and_quoted_by_its_language(folder: Path) -> None:
    _write(folder, "{{ v }} {{ v | conf }} {{ v | literal }} {{ v | sh }} {{ v | conninfo }}")
    assert render("test.j2", folder, v="{{7*7}}'") == (
        "{{7*7}}' '{{7*7}}''' '{{7*7}}''' '{{7*7}}'\"'\"'' '{{7*7}}\\''"
    )
    _write(folder, "{{ v | ident }}", "ident.j2")
    assert render("ident.j2", folder, v='a"b') == '"a""b"'


def test_undefined_value_names_template_and_line(folder: Path) -> None:
    _write(folder, "first\n{{ nothing }}\n")
    with pytest.raises(InventoryError, match=r"'nothing' is undefined") as caught:
        render("test.j2", folder)
    assert caught.value.where == f"{folder}/templates/test.j2:2"


def test_broken_template_names_template_and_line(folder: Path) -> None:
    _write(folder, "first\n{% for %}\n")
    with pytest.raises(InventoryError, match="not a template") as caught:
        render("test.j2", folder)
    assert caught.value.where == f"{folder}/templates/test.j2:2"


def test_missing_template_names_where_it_was_looked_for(folder: Path) -> None:
    with pytest.raises(InventoryError, match=r"no template none\.j2 in"):
        render("none.j2", folder)


def test_failure_inside_a_template_is_bad_input(folder: Path) -> None:
    _write(folder, "{{ 1 / v }}")
    with pytest.raises(InventoryError, match="ZeroDivisionError"):
        render("test.j2", folder, v=0)


@pytest.mark.parametrize("text", ["{{ v }}", "{{ v | conf }}"])
def test_secret_is_printed_only_into_a_secret(folder: Path, text: str) -> None:
    _write(folder, text)
    secret = Secret("s3kr1t", "!env NAME")
    with pytest.raises(InventoryError, match="contains the secret from !env NAME") as caught:
        render("test.j2", folder, v=secret)
    assert "s3kr1t" not in str(caught.value)
    made = render_secret("test.j2", folder, v=secret)
    assert str(made) == "***"
    assert b"s3kr1t" in made.reveal()


def test_template_is_read_again_after_it_changed(folder: Path) -> None:
    _write(folder, "one")
    assert render("test.j2", folder) == "one"
    _write(folder, "another")
    assert render("test.j2", folder) == "another"
