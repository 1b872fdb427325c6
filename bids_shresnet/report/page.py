"""What all reports share: pages from templates, each one file that needs nothing else, and numbers for readers.

`page.html.jinja` is the frame; a report extends it.
"""

from __future__ import annotations

from base64 import b64encode
from math import isnan
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bids_shresnet.io.storage import MISSING
from bids_shresnet.report.style import label

MINUS = "\N{MINUS SIGN}"


def render(template: str, **facts: Any) -> str:
    """Return a page; every name the template uses must be among the facts."""
    environment = Environment(
        loader=PackageLoader("bids_shresnet", "report/templates"),
        autoescape=True,  # for every name: templates do not end in .html, by which jinja2 would decide
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"label": label, "percent": percent, "number": number, "p": p_value, "span": span}
    environment.filters |= {"base64": _base64, "signed": signed}
    return environment.get_template(template).render(missing=MISSING, **facts)


def percent(value: float) -> str:
    """One decimal, with a sign; n/a for NaN."""
    return f"{100 * value:+.1f} %".replace("-", MINUS) if not isnan(value) else MISSING


def number(value: float) -> str:
    """Three significant digits."""
    return f"{value:#.3g}".replace("-", MINUS) if not isnan(value) else MISSING


def signed(value: float) -> str:
    """Three significant digits, with a sign."""
    return f"{value:+#.3g}".replace("-", MINUS) if not isnan(value) else MISSING


def span(ends: tuple[float, float]) -> str:
    """Both ends of an interval of percentages."""
    return MISSING if isnan(ends[0]) else f"{percent(ends[0]).removesuffix(' %')} to {percent(ends[1])}"


def p_value(p: float) -> str:
    """Two significant digits; the smallest are a bound."""
    return "< 0.0001" if p < 1e-4 else f"{p:#.2g}"


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")
