"""Pages from templates, and numbers for readers.

Each page is one file that needs nothing else. `page.html.jinja` is the frame that each report
extends.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from math import isinf, isnan
from typing import Any

from bids_shresnet.io.storage import NOT_AVAILABLE
from bids_shresnet.io.templates import template_environment
from bids_shresnet.report.style import endpoint_title, method_label, tissue_name

MINUS = "\N{MINUS SIGN}"
MAX_WRITTEN_FRACTION = 10.0  # larger ones are written as a bound
MIN_WRITTEN_P = 1e-4  # smaller ones are written as a bound


def render_page(template: str, **context: Any) -> str:
    """Return a page.

    Parameters
    ----------
    template
        File name in `templates`.
    context
        Values by the names that the template uses; a missing one raises `jinja2.UndefinedError`.
    """
    environment = template_environment("report/templates", is_html=True)
    environment.filters |= {
        "label": method_label,
        "tissue": tissue_name,
        "percent": format_percent,
        "number": format_number,
        "signed": format_signed,
        "p": format_p_value,
        "span": format_interval,
        "base64": _encode_base64,
    }
    environment.globals["endpoint_title"] = endpoint_title
    return environment.get_template(template).render(missing=NOT_AVAILABLE, **context)


def format_percent(value: float) -> str:
    """Write a fraction as a percentage with a sign and one decimal; NaN as n/a.

    Fractions beyond `MAX_WRITTEN_FRACTION`, which compare with almost nothing, become a bound.
    """
    if isnan(value):
        return NOT_AVAILABLE
    if isinf(value):
        return f"{'+' if value > 0 else MINUS}\N{INFINITY}"
    if abs(value) > MAX_WRITTEN_FRACTION:
        sign, bound = ("+", "> ") if value > 0 else (MINUS, "< ")
        return f"{bound}{sign}{100 * MAX_WRITTEN_FRACTION:.0f} %"
    return f"{100 * value:+z.1f} %".replace("-", MINUS)


def format_number(value: float) -> str:
    """Write three significant digits; NaN as n/a."""
    return NOT_AVAILABLE if isnan(value) else f"{value:#.3g}".rstrip(".").replace("-", MINUS)


def format_signed(value: float) -> str:
    """Write three significant digits with a sign; NaN as n/a."""
    return NOT_AVAILABLE if isnan(value) else f"{value:+#.3g}".replace("-", MINUS)


def format_interval(interval: tuple[float, float]) -> str:
    """Write both ends of an interval of fractions as percentages."""
    low, high = interval
    if isnan(low):
        return NOT_AVAILABLE
    return f"{format_percent(low).removesuffix(' %')} to {format_percent(high)}"


def format_range(values: Iterable[float]) -> str:
    """Write the smallest and the largest of some numbers with two decimals."""
    ordered = sorted(values)
    return f"{ordered[0]:.2f} to {ordered[-1]:.2f}".replace("-", MINUS)


def format_p_value(p: float) -> str:
    """Write two significant digits; the smallest p are written as a bound."""
    return f"< {MIN_WRITTEN_P:.4f}" if p < MIN_WRITTEN_P else f"{p:#.2g}"


def _encode_base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")
