"""The group page: one self-contained HTML file with the validation of each pair and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bids_shresnet.evaluation.agreement import mean_limits
from bids_shresnet.evaluation.comparison import Comparison
from bids_shresnet.evaluation.known_effects import KNOWN_EFFECTS
from bids_shresnet.evaluation.validation import (
    ALPHA,
    CARD_BASELINES,
    ValidationResult,
    subjects_needed,
)
from bids_shresnet.report.figures.subjects import subject_page_name
from bids_shresnet.report.group_content import ENDPOINTS, DatasetReport, PairReport
from bids_shresnet.report.page import format_p_value, render_page
from bids_shresnet.report.style import (
    DISPLAY_FACTORS,
    TISSUE_NAMES,
    Drawing,
    inline_svg,
    method_label,
)
from bids_shresnet.settings import NO_HARMONIZATION

GROUP_PAGE_TEMPLATE = "group.html.jinja"
FIGURE_SECTIONS = ("inputs", "before-after", "metrics", "uncertainty", "training")
MAX_EMBEDDED_BYTES = 8e6  # of figures, so that the page stays below 10 MB
BASE64_FACTOR = 4 / 3  # bytes of an embedded PNG per byte of its file
ANSWER_LABELS = {
    "yes": "validated",
    "no": "not validated",
    "not enough subjects": "too few subjects",
}


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
        endpoints=ENDPOINTS,
        effect_titles={effect.name: effect.title for effect in KNOWN_EFFECTS},
        card_baselines=CARD_BASELINES,
        embedded=_figures_to_embed(pairs, dataset),
        inline=inline_svg,
        subject_page=subject_page_name,
        scales=DISPLAY_FACTORS,
        limits=mean_limits,
        methods=dataset.methods_text or "No methods text was written yet.",
    )


def validation_sentence(pair: PairReport) -> str:
    """State whether the method is validated, on how many subjects, or what is missing."""
    method = method_label(pair.method)
    result = pair.primary_result
    if result is None:
        return (
            f"It is not known whether harmonizing helps: {method} was not compared with no "
            "harmonization on these data."
        )
    statement = f"that harmonizing with {method} is better than no harmonization"
    subjects = f"On {result.n} held-out {'subject' if result.n == 1 else 'subjects'}"
    lower = _lower_errors(result)
    if result.answer == "yes":
        p = format_p_value(result.p)
        sentences = f"It is validated {statement}. {subjects} {lower}, each with p ≤ {p}."
        return f"{sentences} {_baselines_sentence(pair)}".strip()
    if result.answer == "no":
        weakest = _describe_comparison(result.weakest)
        return (
            f"It is not validated {statement}. {subjects} {lower}; the weakest result is {weakest}."
        )
    floor = (
        f"no p below {format_p_value(result.p_floor)} is possible, whatever the data; "
        f"{subjects_needed()} are needed"
    )
    return (
        f"It cannot be validated {statement}. {subjects} {floor}. So far, {lower}, which may be "
        "chance."
    )


def _lower_errors(result: ValidationResult) -> str:
    return (
        "the error is lower, on average and in most subjects, in "
        f"{result.better_count} of {result.comparison_count} comparisons"
    )


def _baselines_sentence(pair: PairReport) -> str:
    """Name the other baselines that the method is better than, and those that it is not."""
    others = [item for item in pair.validation_results if item.baseline != NO_HARMONIZATION]
    validated = [method_label(item.baseline) for item in others if item.answer == "yes"]
    rest = [method_label(item.baseline) for item in others if item.answer != "yes"]
    sentences = []
    if validated:
        sentences.append(f"It is also validated to be better than: {'; '.join(validated)}.")
    if rest:
        sentences.append(f"It is not validated to be better than: {'; '.join(rest)}.")
    return " ".join(sentences)


def _describe_comparison(comparison: Comparison) -> str:
    """Describe the endpoint, and how much better or worse the method is."""
    direction = "lower" if comparison.decrease > 0 else "higher"
    change = f"{abs(100 * comparison.decrease):.1f} % {direction} on average"
    improved = round(comparison.improved_share * comparison.n)
    share = f"lower in {improved} of {comparison.n} subjects"
    endpoint = f"{comparison.quantity} in {TISSUE_NAMES[comparison.tissue].lower()}"
    return f"{endpoint} (error {change}, {share}, p = {format_p_value(comparison.p)})"


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
