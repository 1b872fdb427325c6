"""The package's Jinja templates: pages, prose and batch scripts."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def template_environment(folder: str, *, is_html: bool = False) -> Environment:
    """Open the templates of one folder of the package, each of which is compiled once.

    A template that uses a name which it was not given raises `jinja2.UndefinedError`.

    Parameters
    ----------
    folder
        Path inside the package, such as `report/templates`.
    is_html
        If true, every value is escaped for HTML. Jinja cannot decide it by the file name, because
        templates end in `.jinja`.
    """
    return Environment(
        loader=PackageLoader("bids_shresnet", folder),
        autoescape=is_html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
