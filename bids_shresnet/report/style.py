"""What all figures share: labels, colours and styles of the methods, and bytes of a figure.

Figures are matplotlib objects made without pyplot, because pyplot's list of open figures is a
state of the whole process. Equal figures give equal bytes. The colours are those of Okabe and Ito
(2008), which colour-blind readers can tell apart; each group of methods also has its own hatch for
grey prints.
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
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

from bids_shresnet.evaluation.results import NOISE_FLOOR, SCAN_RESCAN
from bids_shresnet.settings import DEFAULT_METHOD, METHOD_NAMES, NO_HARMONIZATION

# In the order of all figures and tables; unknown methods follow under their own names
METHOD_LABELS: Mapping[str, str] = {
    NO_HARMONIZATION: "no harmonization",
    NOISE_FLOOR: "noise floor",
    SCAN_RESCAN: "scan and rescan",
    "combat_mean": "ComBat, tissue means (oracle)",  # uses the held-out target's tissue
    "combat_voxel": "ComBat, voxels",
    **METHOD_NAMES,
}
TISSUE_NAMES = {"WM": "White matter", "GM": "Grey matter"}
DISPLAY_FACTORS: Mapping[str, float] = {  # MD is shown in units of 0.001 mm2/s
    "signal": 1.0,
    "FA": 1.0,
    "MD": 1000.0,
}
DPI = 150
FOLDER_UP = "../"  # from figures/ to the pages
FIGURE_RC_PARAMS: Mapping[str, Any] = {
    "svg.fonttype": "none",  # text stays text, so that it can be searched and edited
    "svg.hashsalt": "bids_shresnet",  # ids are random without one
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9.0,
}
WHITE = "#ffffff"
SKY = "#56b4e9"
ORANGE = "#e69f00"
GREEN = "#009e73"
DARK = "#222222"
FAINT = "#999999"
RED = "#d55e00"
PALETTE_SIZE = 256
PALETTE_GREYS = 32  # of the palette's colours, for text
LINE_COLOURS = (ORANGE, SKY)  # of outlines


@dataclass(frozen=True)
class Drawing:
    """A finished figure.

    Attributes
    ----------
    name
        Name of its files without extension.
    caption
        Text for a reader who sees only the figure.
    alt
        One line for a reader who does not see it.
    svg
        Empty for figures of voxels, which a vector graphic would not make clearer.
    has_links
        True if parts of the SVG link to other pages, so that the page must contain the SVG itself.
    """

    name: str
    caption: str
    alt: str
    png: bytes
    svg: bytes = b""
    has_links: bool = False

    @property
    def encodings(self) -> dict[str, bytes]:
        """What its files hold, by extension, the best form last."""
        return {".png": self.png} | ({".svg": self.svg} if self.svg else {})


def render_figure(figure: Figure, name: str, caption: str, alt: str) -> Drawing:
    """Encode a figure as PNG and SVG."""
    with figure_style():
        png = _encode_image(_draw_pixels(figure))
        figure.set_layout_engine("none")  # the layout stays; to seek it again is slow
        svg = _encode_svg(figure)
    return Drawing(name, caption, alt, png, svg)


def render_voxel_figure(
    figure: Figure, name: str, caption: str, alt: str, *, cmap: str | None = None
) -> Drawing:
    """Encode a figure of voxels as PNG only.

    Parameters
    ----------
    cmap
        Name of the figure's only colour map, if it has one. The PNG then has a palette, and half
        the size.
    """
    image = _draw_pixels(figure)
    if cmap is not None:
        image = _quantize_to_palette(image, cmap)
    return Drawing(name, caption, alt, _encode_image(image))


def inline_svg(drawing: Drawing, prefix: str) -> str:
    """Return the SVG as a part of a page that lies one folder above its file.

    Its size is removed, because the page sets it, and so is all that HTML does not need.

    Parameters
    ----------
    prefix
        Beginning of all ids, so that those of several figures differ.
    """
    text = drawing.svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r' width="[^"]*" height="[^"]*"', "", text, count=1)
    id_prefix = re.sub("[^A-Za-z0-9_-]", "", prefix)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{id_prefix}-", text)
    return text.replace(f'href="{FOLDER_UP}', 'href="')


@contextmanager
def figure_style() -> Iterator[None]:
    """Use the settings of all figures; a user's matplotlibrc has no effect."""
    with mpl.rc_context():
        mpl.rcdefaults()
        for name, value in FIGURE_RC_PARAMS.items():
            mpl.rcParams[name] = value  # type: ignore[index]  # names are literals to its types
        yield


def sort_methods(methods: Iterable[str]) -> tuple[str, ...]:
    """Return each method once, in the order of all figures and tables."""
    unique = dict.fromkeys(methods)
    known = [method for method in METHOD_LABELS if method in unique]
    unknown = [method for method in unique if method not in METHOD_LABELS]
    return (*known, *unknown)


def tissue_name(region: str) -> str:
    """Name of a tissue in running text; other regions keep theirs."""
    return TISSUE_NAMES[region].lower() if region in TISSUE_NAMES else region


def endpoint_title(quantity: str, tissue: str) -> str:
    """Quantity and tissue in words, such as "FA, white matter"."""
    return f"{quantity}, {tissue_name(tissue)}"


def method_label(method: str) -> str:
    """Name of a method for readers."""
    return METHOD_LABELS.get(method, method)


def box_style(method: str) -> dict[str, Any]:
    """Face, edge and hatch of a method's box.

    They tell apart no harmonization, the default method, its variants and all other methods.
    """
    if method == NO_HARMONIZATION:
        return {"facecolor": WHITE, "hatch": ""}
    if method == DEFAULT_METHOD:
        return {"facecolor": ORANGE, "hatch": "////", "linewidth": 1.8}
    if method.startswith(DEFAULT_METHOD):
        return {"facecolor": GREEN, "hatch": ".."}
    return {"facecolor": SKY, "hatch": ""}


def draw_boxes(
    axes: Axes,
    columns: Sequence[Sequence[float]],
    box_styles: Sequence[Mapping[str, Any]],
    *,
    whiskers: float | tuple[float, float] = 1.5,
) -> None:
    """Draw one box per column, at 0, 1, 2 and so on; an empty column has none.

    Parameters
    ----------
    whiskers
        Two percentiles, or the largest length in heights of the box.
    """
    filled = [index for index, values in enumerate(columns) if values]
    if not filled:
        return
    boxes = axes.boxplot(
        [columns[index] for index in filled],
        whis=whiskers,
        showfliers=False,
        positions=filled,
        widths=0.6,
        patch_artist=True,
        zorder=2,
    )
    for index, box, median in zip(filled, boxes["boxes"], boxes["medians"], strict=True):
        box.set(edgecolor=DARK, alpha=0.75, **box_styles[index])
        median.set(color=DARK, linewidth=2)


def draw_subject_line(axes: Axes, values: Sequence[float]) -> None:
    """Draw one subject's values behind the boxes; NaN leaves a gap."""
    axes.plot(
        range(len(values)),
        values,
        color=FAINT,
        alpha=0.5,
        linewidth=0.7,
        marker=".",
        markersize=3,
        zorder=1,
    )


def style_axes(axes: Axes, grid: str) -> None:
    """Keep two spines, and a faint grid along the axis with numbers ("x" or "y")."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x" if grid == "x" else "y", color=FAINT, alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_pixels(figure: Figure) -> Image.Image:
    """Draw a figure once; `savefig` draws it twice, and seeks its layout both times."""
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib's backends have no types
    figure.dpi = DPI
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _encode_svg(figure: Figure) -> bytes:
    canvas: Any = FigureCanvasSVG(figure)
    with BytesIO() as file:
        canvas.print_svg(file, metadata={"Date": None})
        return file.getvalue()


def _encode_image(image: Image.Image) -> bytes:
    with BytesIO() as file:
        image.save(file, "png")  # level 9 takes four times as long for 7 % less
        return file.getvalue()


def _quantize_to_palette(image: Image.Image, cmap: str) -> Image.Image:
    """Reduce an image to the colours of the map, those of lines, and greys for text."""
    lines = [mpl.colors.to_rgb(colour) for colour in LINE_COLOURS]
    positions = np.linspace(0, 1, PALETTE_SIZE - PALETTE_GREYS - len(lines))
    map_colours = mpl.colormaps[cmap](positions)[:, :3]
    greys = np.linspace(0, 1, PALETTE_GREYS)[:, None].repeat(3, axis=1)
    colours = np.concatenate([map_colours, greys, lines])
    with Image.new("P", (1, 1)) as palette:
        palette.putpalette(np.rint(255 * colours).astype(np.uint8).tobytes())
        return image.quantize(palette=palette, dither=Image.Dither.NONE)
