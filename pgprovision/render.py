"""The configuration files: jinja2 templates, the people's own before ours.

`render` refuses to print a Secret; `render_secret` prints it and returns a Secret.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound
from jinja2.exceptions import TemplateError, TemplateSyntaxError

from pgprovision import quote
from pgprovision.errors import InventoryError
from pgprovision.package_data import packaged_folder
from pgprovision.secret import Secret


def packaged_templates() -> Path:
    """The folder of our own templates."""
    return packaged_folder("templates")


def render(template: str, folder: Path | None = None, **values: object) -> str:
    """The text of a template, looked for in the inventory's `templates/`, then among ours.

    Raises InventoryError, with the template's line, for anything wrong with it.
    """
    return _render(template, folder, values, reveal=False)


def render_secret(template: str, folder: Path | None = None, **values: object) -> Secret:
    """The same where the text holds secrets."""
    return Secret(_render(template, folder, values, reveal=True), template)


def _render(template: str, folder: Path | None, values: dict[str, object], reveal: bool) -> str:
    overrides = folder / "templates" if folder else None
    with _with_template_errors(template, overrides):
        return _environment(overrides, reveal).get_template(template).render(values)


@cache
def _environment(overrides: Path | None, reveal: bool) -> Environment:
    show = _reveal if reveal else _refuse
    environment = Environment(
        loader=FileSystemLoader([*([overrides] if overrides else []), packaged_templates()]),
        undefined=StrictUndefined,
        autoescape=False,  # no HTML here; each language has a quoting filter of its own
        finalize=show,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("conf", "conninfo", "ident", "literal", "sh"):
        environment.filters[name] = _filter(getattr(quote, name), show)
    return environment


def _filter(
    quoting: Callable[..., str], show: Callable[[object], object]
) -> Callable[[object], str]:
    return lambda value: quoting(show(value))


def _refuse(value: object) -> object:
    if isinstance(value, Secret):
        raise InventoryError(f"contains the secret from {value.source}; expected no secret here")
    return value


def _reveal(value: object) -> object:
    return value.text() if isinstance(value, Secret) else value


@contextmanager
def _with_template_errors(template: str, overrides: Path | None) -> Iterator[None]:
    places = f"{overrides} or {packaged_templates()}" if overrides else str(packaged_templates())
    try:
        yield
    except TemplateNotFound as error:
        raise InventoryError(f"no template {error.name} in {places}", where=template) from None
    except TemplateSyntaxError as error:
        where = f"{error.filename or template}:{error.lineno}"
        raise InventoryError(f"not a template: {error.message}", where=where) from None
    except InventoryError as error:
        raise InventoryError(error.what, where=_line(template, error)) from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise InventoryError(
            f"cannot be rendered: {type(error).__name__}: {error}", where=_line(template, error)
        ) from None


def _line(template: str, error: BaseException) -> str:
    """`FILE:LINE` of the template where it failed, as jinja2's traceback knows it."""
    trace = error.__traceback__
    where = template
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.name == Path(template).name:
            where = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return where
