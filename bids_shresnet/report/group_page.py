"""The group page: one self-contained HTML file with the validation of each pair and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bids_shresnet.evaluation.agreement import mean_limits
from bids_shresnet.evaluation.effects.known_effects import KNOWN_EFFECTS
from bids_shresnet.evaluation.group_means.equivalence import EQUIVALENCE_MARGINS
from bids_shresnet.evaluation.validation import ALPHA, CARD_BASELINES, subjects_needed
from bids_shresnet.report.figures.subjects import subject_page_name
from bids_shresnet.report.group_content import ENDPOINTS, DatasetReport, PairReport
from bids_shresnet.report.methods_panels import make_methods_panels
from bids_shresnet.report.page import render_page
from bids_shresnet.report.style import (
    DISPLAY_FACTORS,
    Drawing,
    inline_svg,
)
from bids_shresnet.report.validation_sentence import validation_sentence
from bids_shresnet.report.verdict import (
    ANSWER_LABELS,
    EQUIVALENCE_LABELS,
    pair_answer,
    verdict_rows,
)

GROUP_PAGE_TEMPLATE = "group.html.jinja"
FIGURE_SECTIONS = ("inputs", "head", "before-after", "metrics", "uncertainty", "training")
MAX_EMBEDDED_BYTES = 8e6  # of figures, so that the page stays below 10 MB
BASE64_FACTOR = 4 / 3  # bytes of an embedded PNG per byte of its file


def render_group_report(
    pairs: Sequence[PairReport], about: Mapping[str, str], dataset: DatasetReport
) -> str:
    """Return the page; `about` holds the command and the versions that made it, by name."""
    return render_page(
        GROUP_PAGE_TEMPLATE,
        pairs=pairs,
        about=about,
        dataset=dataset,
        answers=ANSWER_LABELS,
        alpha=ALPHA,
        needed=subjects_needed(),
        sentence=validation_sentence,
        verdict_rows=verdict_rows,
        pair_answer=pair_answer,
        margins=EQUIVALENCE_MARGINS,
        equivalence_answers=EQUIVALENCE_LABELS,
        endpoints=ENDPOINTS,
        effect_titles={effect.name: effect.title for effect in KNOWN_EFFECTS},
        card_baselines=CARD_BASELINES,
        embedded=_figures_to_embed(pairs, dataset),
        inline=inline_svg,
        subject_page=subject_page_name,
        scales=DISPLAY_FACTORS,
        limits=mean_limits,
        methods=make_methods_panels(dataset.methods_text),
    )


def _figures_to_embed(pairs: Sequence[PairReport], dataset: DatasetReport) -> frozenset[Drawing]:
    """Figures that fit into the page, in its order; links lead to the files of the others."""
    drawings = [*dataset.figures]
    for section in FIGURE_SECTIONS:
        for pair in pairs:
            drawings += pair.figures.get(section, ())
    embedded = set()
    total = 0.0
    for drawing in drawings:
        total += _embedded_size(drawing)
        if total <= MAX_EMBEDDED_BYTES:
            embedded.add(drawing)
    return frozenset(embedded)


def _embedded_size(drawing: Drawing) -> float:
    """Bytes of a figure in the page."""
    return float(len(drawing.svg)) if drawing.has_links else BASE64_FACTOR * len(drawing.png)
