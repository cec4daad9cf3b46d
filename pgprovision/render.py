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
from pgprovision.package_data import folder_of
from pgprovision.secret import Secret


def shipped() -> Path:
    """The folder of our own templates."""
    return folder_of("templates")


def render(template: str, folder: Path | None = None, **values: object) -> str:
    """The text of a template, looked for in the inventory's `templates/`, then among ours.

    Raises InventoryError, with the template's line, for anything wrong with it.
    """
    return _render(template, folder, values, reveal=False)


def render_secret(template: str, folder: Path | None = None, **values: object) -> Secret:
    """The same where the text holds secrets."""
    return Secret(_render(template, folder, values, reveal=True), template)


def _render(template: str, folder: Path | None, values: dict[str, object], reveal: bool) -> str:
    own = folder / "templates" if folder else None
    with _complaining(template, own):
        return _environment(own, reveal).get_template(template).render(values)


@cache
def _environment(own: Path | None, reveal: bool) -> Environment:
    show = _reveal if reveal else _refuse
    environment = Environment(
        loader=FileSystemLoader([*([own] if own else []), shipped()]),
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
        raise InventoryError(f"prints the secret from {value.source}; expected no secret here")
    return value


def _reveal(value: object) -> object:
    return value.text() if isinstance(value, Secret) else value


@contextmanager
def _complaining(template: str, own: Path | None) -> Iterator[None]:
    places = f"{own} or {shipped()}" if own else str(shipped())
    try:
        yield
    except TemplateNotFound as wrong:
        raise InventoryError(f"no template {wrong.name} in {places}", where=template) from None
    except TemplateSyntaxError as wrong:
        where = f"{wrong.filename or template}:{wrong.lineno}"
        raise InventoryError(f"not a template: {wrong.message}", where=where) from None
    except InventoryError as wrong:
        raise InventoryError(wrong.what, where=_line(template, wrong)) from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as wrong:
        raise InventoryError(
            f"cannot be rendered: {type(wrong).__name__}: {wrong}", where=_line(template, wrong)
        ) from None


def _line(template: str, wrong: BaseException) -> str:
    """`FILE:LINE` of the template where it failed, as jinja2's traceback knows it."""
    trace = wrong.__traceback__
    where = template
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if file.name == Path(template).name:
            where = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return where
