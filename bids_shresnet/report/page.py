"""What all reports share: pages from templates, each one file that needs nothing else, and numbers for readers.

`page.html.jinja` is the frame; a report extends it.
"""

from __future__ import annotations

from base64 import b64encode
from math import isnan
from typing import Any

from bids_shresnet.io.storage import NOT_AVAILABLE
from bids_shresnet.io.templates import template_environment
from bids_shresnet.report.style import method_label

MINUS = "\N{MINUS SIGN}"


def render_page(template: str, **context: Any) -> str:
    """Return a page; every name the template uses must be among the facts."""
    environment = template_environment("report/templates", is_html=True)
    environment.filters |= {
        "label": method_label,
        "percent": format_percent,
        "number": format_number,
        "p": format_p_value,
        "span": format_interval,
    }
    environment.filters |= {"base64": _encode_base64, "signed": format_signed}
    return environment.get_template(template).render(missing=NOT_AVAILABLE, **context)


def format_percent(value: float) -> str:
    """One decimal, with a sign; n/a for NaN."""
    return f"{100 * value:+.1f} %".replace("-", MINUS) if not isnan(value) else NOT_AVAILABLE


def format_number(value: float) -> str:
    """Three significant digits."""
    return f"{value:#.3g}".replace("-", MINUS) if not isnan(value) else NOT_AVAILABLE


def format_signed(value: float) -> str:
    """Three significant digits, with a sign."""
    return f"{value:+#.3g}".replace("-", MINUS) if not isnan(value) else NOT_AVAILABLE


def format_interval(interval: tuple[float, float]) -> str:
    """Both ends of an interval of percentages."""
    return (
        NOT_AVAILABLE
        if isnan(interval[0])
        else f"{format_percent(interval[0]).removesuffix(' %')} to {format_percent(interval[1])}"
    )


def format_p_value(p: float) -> str:
    """Two significant digits; the smallest are a bound."""
    return "< 0.0001" if p < 1e-4 else f"{p:#.2g}"


def _encode_base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")
