"""What all figures share: names and looks of the methods, and a figure turned into bytes that are always the same.

Matplotlib's figures are used as objects, without pyplot, whose list of open figures is a state of the whole process.
Colours are those of Okabe and Ito (2008), which colour-blind readers tell apart; a method also has its own hatch, so
that a grey print shows the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from bids_shresnet.settings import DEFAULT_METHOD, METHOD_NAMES, NO_HARMONIZATION

# Names for readers, in the order in which methods are always shown; unknown ones follow under their own names
METHOD_LABELS: Mapping[str, str] = {
    NO_HARMONIZATION: "no harmonization",
    "combat_mean": "ComBat, tissue means",
    "combat_voxel": "ComBat, voxels",
    **METHOD_NAMES,
}
TISSUE_NAMES = {"WM": "White matter", "GM": "Grey matter"}
DPI = 150
FOLDER_UP = "../"  # from figures/ to the pages
FIGURE_RC_PARAMS: Mapping[str, Any] = {
    "svg.fonttype": "none",  # text stays text, so that it can be searched and edited
    "svg.hashsalt": "bids_shresnet",  # ids are drawn at random without one
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9.0,
}
WHITE, SKY, ORANGE, GREEN = "#ffffff", "#56b4e9", "#e69f00", "#009e73"
DARK, FAINT, RED = "#222222", "#999999", "#d55e00"
N_PALETTE_GREYS = 32  # of a palette


@dataclass(frozen=True)
class Drawing:
    """A finished figure.

    Attributes
    ----------
    name
        Of its files, without extension.
    caption
        What is shown, for a reader who sees only the figure.
    alt
        The same in a line, for a reader who does not see it.
    svg
        Empty where the figure shows voxels, which no vector graphic makes clearer.
    has_links
        Whether parts of the SVG are links to other pages, so that it has to stand in a page itself.
    """

    name: str
    caption: str
    alt: str
    png: bytes
    svg: bytes = b""
    has_links: bool = False


def render_figure(
    figure: Figure, name: str, caption: str, alt: str, *, has_links: bool = False
) -> Drawing:
    """Turn a figure into bytes; the same figure gives the same bytes."""
    png, svg = _encode_figure(figure, "png", {}), _encode_figure(figure, "svg", {"Date": None})
    return Drawing(name, caption, alt, png=png, svg=svg, has_links=has_links)


def inline_svg(drawing: Drawing, prefix: str) -> str:
    """The SVG as a part of a page one folder above its file.

    Its ids begin with `prefix`, its links start one folder below; its size, which the page sets, and what HTML needs
    not are left out.
    """
    text = drawing.svg.decode()
    text = re.sub(
        r"<metadata>.*?</metadata>| xmlns(:\w+)?=\"[^\"]*\"",
        "",
        text[text.index("<svg") :],
        flags=re.DOTALL,
    )
    text = re.sub(r' width="[^"]*" height="[^"]*"', "", text, count=1)
    text = re.sub(
        r"(\bid=\"|href=\"#|url\(#)", rf"\g<1>{re.sub('[^A-Za-z0-9_-]', '', prefix)}-", text
    )
    return text.replace(f'href="{FOLDER_UP}', 'href="')


def render_voxel_figure(
    figure: Figure, name: str, caption: str, alt: str, *, cmap: str | None = None
) -> Drawing:
    """Turn a figure of voxels into a PNG alone; with the name of its only colour map it takes half the space."""
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib's backends have no types
    figure.dpi = DPI
    canvas.draw()  # once; `savefig` draws twice, for layouts that figures of voxels do not have
    with (
        Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB") as picture,
        BytesIO() as file,
    ):
        (picture if cmap is None else _quantize_to_palette(picture, cmap)).save(
            file, "png", optimize=cmap is not None
        )
        return Drawing(name, caption, alt, file.getvalue())


@contextmanager
def figure_style() -> Iterator[None]:
    """Settings of all figures, and matplotlib's own for the rest: a user's matplotlibrc changes nothing."""
    with mpl.rc_context():
        mpl.rcdefaults()
        for name, value in FIGURE_RC_PARAMS.items():
            mpl.rcParams[name] = value  # type: ignore[index]  # names are literals to its types
        yield


def sort_methods(methods: Iterable[str]) -> tuple[str, ...]:
    """Each method once, in the order in which all figures and tables show them."""
    unique = dict.fromkeys(methods)
    return (
        *(name for name in METHOD_LABELS if name in unique),
        *(name for name in unique if name not in METHOD_LABELS),
    )


def method_label(method: str) -> str:
    """Name of a method for readers."""
    return METHOD_LABELS.get(method, method)


def box_style(method: str) -> dict[str, Any]:
    """Face, edge and hatch of a method's box: nothing, the default, its relatives, and other methods."""
    if method == NO_HARMONIZATION:
        return {"facecolor": WHITE, "hatch": ""}
    if method == DEFAULT_METHOD:
        return {"facecolor": ORANGE, "hatch": "////", "linewidth": 1.8}
    return (
        {"facecolor": GREEN, "hatch": ".."}
        if method.startswith(DEFAULT_METHOD)
        else {"facecolor": SKY, "hatch": ""}
    )


def draw_boxes(
    axes: Axes,
    columns: Sequence[Sequence[float]],
    box_styles: Sequence[Mapping[str, Any]],
    *,
    whiskers: float | tuple[float, float] = 1.5,
) -> None:
    """A box a column, at 0, 1, 2 ..; none where a column is empty.

    Whiskers end at percentiles, or at the last value within so many times the box.
    """
    filled = [place for place, values in enumerate(columns) if values]
    if not filled:
        return
    values = [columns[place] for place in filled]
    shape: dict[str, Any] = {"positions": filled, "widths": 0.6, "patch_artist": True, "zorder": 2}
    made = axes.boxplot(values, whis=whiskers, showfliers=False, **shape)
    for place, box, median in zip(filled, made["boxes"], made["medians"], strict=True):
        box.set(edgecolor=DARK, alpha=0.75, **box_styles[place])
        median.set(color=DARK, linewidth=2)


def style_axes(axes: Axes, grid: str) -> None:
    """Leave what is read: two spines and a faint grid along the axis with numbers ("x" or "y")."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x" if grid == "x" else "y", color=FAINT, alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)


def _encode_figure(figure: Figure, kind: str, metadata: Mapping[str, Any]) -> bytes:
    """Write in one format; text in an SVG stays text, and its ids do not change from run to run."""
    with BytesIO() as file, figure_style():
        figure.savefig(file, format=kind, dpi=DPI, metadata=dict(metadata))
        return file.getvalue()


def _quantize_to_palette(picture: Image.Image, cmap: str) -> Image.Image:
    """The same picture of 256 colours: the map's, those of lines, and greys for the text."""
    steps = mpl.colormaps[cmap](np.linspace(0, 1, 256 - N_PALETTE_GREYS - 1))[:, :3]
    greys = np.linspace(0, 1, N_PALETTE_GREYS)[:, None].repeat(3, axis=1)
    colours = np.concatenate([steps, greys, [mpl.colors.to_rgb(RED)]])
    with Image.new("P", (1, 1)) as palette:
        palette.putpalette(np.rint(255 * colours).astype(np.uint8).tobytes())
        return picture.quantize(palette=palette, dither=Image.Dither.NONE)
