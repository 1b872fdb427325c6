"""Prove: results of all folds -> tables, figures and the report; what to think of a model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bids_shresnet.evaluation.evidence import Evidence, proof_record
from bids_shresnet.evaluation.statistics import QUANTITIES, compare
from bids_shresnet.io.storage import write_bytes, write_json, write_text, write_tsv
from bids_shresnet.outputs.history import ScanRow, failures, last_findings, last_scans, marked_shares
from bids_shresnet.outputs.model_folder import SWEEP, TRAINING, Model
from bids_shresnet.outputs.sidecars import software
from bids_shresnet.report.figures.agreement import difference_figure, joint_figure
from bids_shresnet.report.figures.agreement_data import of_group
from bids_shresnet.report.figures.errors import bias_figure, error_figure
from bids_shresnet.report.figures.pairing import pairing_figure, splits_figure
from bids_shresnet.report.figures.power import group_power
from bids_shresnet.report.figures.resblocks import read_sweep, sweep_figure, sweep_table
from bids_shresnet.report.figures.subjects import subject_figure
from bids_shresnet.report.figures.training import Curve, read_curves, training_figure
from bids_shresnet.report.figures.uncertainty import calibration_figure
from bids_shresnet.report.group_page import Dataset, PairProof, group_report, sentence
from bids_shresnet.report.methods_text import read_boilerplate
from bids_shresnet.report.style import Drawing
from bids_shresnet.settings import NOTHING

SUBJECTS = ("Training", "Validation", "Test")  # of a fold, in the card
NO_HISTOGRAMS = (
    "This model was proven by a version that kept no histograms: joint histograms, Bland-Altman plots and the power by "
    "order are missing. To have them, delete the model's folder and run group again."
)
NO_SPREAD = (
    "How the spread of the networks goes with their error is not known: there is one network only, all are alike, or "
    "the noise of the target's scans is not known."
)
NO_CURVES = "The method is fitted in closed form: there are no epochs to draw."
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "pair": {"Description": "Scanners, from the source to the target."},
    "subject": {"Description": "Held-out subject."},
    "fold": {"Description": "Number of the split that held the subject out."},
    "method": {"Description": "Harmonizer; nothing: the source scan as it is; rescan: the target's second scan."},
    "tissue": {
        "Description": "WM: white matter, GM: grey matter, by the target's scan, where the source's voxels around a "
        "place all hold signal."
    },
    "quantity": {
        "Description": "signal: S/S0 in the target's directions. FA, MD: of the tensor; where a method takes noise "
        "away, as the target would have measured its prediction, with noise, because noise makes measured FA too high."
    },
    "nmse": {"Description": "Squared differences to the target's measurement over its sum of squares."},
    "bias": {"Description": "Mean of the tissue over the target's mean, minus 1."},
}


def pair_proof(evidence: Evidence, pages: Collection[str] = ()) -> PairProof:
    """What the report says of a pair; `pages` are the reports on subjects that are there to be linked."""
    model = evidence.model
    sweep, curves = read_sweep(model.folder / SWEEP), _curves(model)
    return PairProof(
        name=model.name,
        source=model.source,
        target=model.target,
        comparisons=evidence.comparisons,
        biases=evidence.biases,
        rows=evidence.rows,
        answers={name: one["Answer"] for name, one in proof_record(evidence)["BetterThan"].items()},
        figures={
            "inputs": [splits_figure(model.splits)],
            "before-after": _likeness_figures(evidence),
            "metrics": [*_error_figures(evidence, pages), *([sweep_figure(sweep)] if sweep else [])],
            "uncertainty": [calibration_figure(evidence.uncertainty)] if evidence.uncertainty else [],
            "training": [training_figure(curves)] if curves else [],
        },
        notes={
            "before-after": (*([] if evidence.histograms else [NO_HISTOGRAMS]), *_orientation_notes(evidence)),
            "uncertainty": _uncertainty_notes(evidence),
            "training": () if curves else (NO_CURVES,),
        },
        agreements=evidence.agreements,
        splits=model.splits,
        sweep=sweep_table(sweep),
        missing=tuple(evidence.missing),
        method=evidence.method,
    )


def _likeness_figures(evidence: Evidence) -> list[Drawing]:
    """Source against target before and after, and the power of each order."""
    found = evidence.histograms
    if found is None:
        return []
    compared = [of_group(found, evidence.agreements, quantity) for quantity in QUANTITIES]
    pairs = [draw(one) for one in compared for draw in (joint_figure, difference_figure)]
    return [*pairs, group_power(evidence.powers, evidence.method)]


def _error_figures(evidence: Evidence, pages: Collection[str]) -> list[Drawing]:
    """Errors by method, by subject, and the bias that is left."""
    others = [one for name in evidence.references if name != NOTHING for one in compare(evidence.rows, name, [NOTHING])]
    errors = [error_figure(evidence.rows, (*evidence.comparisons, *others), quantity) for quantity in QUANTITIES]
    return [*errors, subject_figure(evidence.rows, evidence.method, pages), bias_figure(evidence.biases)]


def _curves(model: Model) -> tuple[Curve, ...]:
    return read_curves(model.folder / TRAINING, [fold.get("BestEpoch") for fold in model.card["Folds"]])


def _orientation_notes(evidence: Evidence) -> list[str]:
    """Whether directions are kept."""
    if not evidence.orientations:
        return []
    means = {
        (name, method): float(np.mean([float(row[name]) for row in evidence.orientations if row["method"] == method]))
        for name in ("angle", "correlation")
        for method in (NOTHING, evidence.method)
    }
    methods = (NOTHING, evidence.method)
    angles, correlations = ([means[name, one] for one in methods] for name in ("angle", "correlation"))
    return [
        "White matter with one main direction: the principal direction is {:.2f} degrees off the target's as it came, "
        "{:.2f} harmonized; the angular correlation of the signal is {:.3f} and {:.3f}.".format(*angles, *correlations)
    ]


def _uncertainty_notes(evidence: Evidence) -> list[str]:
    """What the uncertainty map is worth."""
    if not evidence.uncertainty:
        return [NO_SPREAD]
    low, high = evidence.uncertainty["Groups"][0], evidence.uncertainty["Groups"][-1]
    correlation = evidence.uncertainty["RankCorrelation"]
    return [
        f"The uncertainty map is the spread of the networks, {low['Spread']:.4f} in its lowest and "
        f"{high['Spread']:.4f} in its highest fifth of voxels; the error there (S/S0, less the noise of the target's "
        f"scan) is {low['Error']:.4f} and {high['Error']:.4f}, with a rank correlation of {correlation:.2f}."
    ]


def write_group(root: Path, evidence: Sequence[Evidence], command: str) -> tuple[str, ...]:
    """Write group_harmonization.tsv and .json, figures and group.html; returns what is proven, a sentence a pair.

    What is beside the models in the output (logs, sidecars, reports on subjects) is read again.
    """
    dataset = _dataset(root, evidence)
    proofs = [pair_proof(item, dataset.pages) for item in evidence]
    rows = [{"pair": item.model.name, **asdict(row)} for item in evidence for row in item.rows]
    write_tsv(root / "group_harmonization.tsv", rows, list(COLUMNS))
    write_json(root / "group_harmonization.json", {**COLUMNS, "Pairs": [_pair_record(item) for item in evidence]})
    for name, drawings in {"group": dataset.figures, **{one.name: one.drawings for one in proofs}}.items():
        for drawing in drawings:
            _write_drawing(root / "figures", name, drawing)
    digests = {f"model {n}": f"{one.model.name}, SHA-256 {one.model.digest}" for n, one in enumerate(evidence, 1)}
    about = {"command": command, **digests, **software()}
    write_text(root / "group.html", group_report(proofs, about, dataset))
    return tuple(sentence(proof) for proof in proofs)


def _dataset(root: Path, evidence: Sequence[Evidence]) -> Dataset:
    """All that is not about one pair."""
    scans = last_scans(root) or tuple(row for item in evidence for row in _travelling(item.model))
    return Dataset(
        scans=scans,
        figures=(pairing_figure(scans),) if scans else (),
        marked=marked_shares(root),
        findings=last_findings(root),
        failures=failures(root),
        pages=frozenset(path.name for path in root.glob("sub-*.html")),
        methods=read_boilerplate(root),
    )


def _travelling(model: Model) -> Iterator[ScanRow]:
    """What a model alone says of the dataset: who was scanned on both scanners."""
    for subject in model.card["Subjects"]:
        for scanner, role in ((model.source, "travelling source"), (model.target, "travelling target")):
            yield ScanRow(file="", subject=subject, session="", scanner=scanner, shells="", role=role, reason="")


def _pair_record(evidence: Evidence) -> dict[str, Any]:
    return {
        "Name": evidence.model.name,
        "Proof": proof_record(evidence),
        "Folds": [{key: fold[key] for key in SUBJECTS} for fold in evidence.model.card["Folds"]],
        "Comparisons": [_finite(asdict(one)) for one in evidence.comparisons],
        "Bias": [_finite(asdict(one)) for one in evidence.biases],
    }


def _finite(record: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is undefined (an interval of two subjects): JSON knows no NaN."""
    pairs = ((key, value) for key, value in record.items())
    return {
        key: value
        for key, value in pairs
        if not any(isinstance(x, float) and x != x for x in (value if isinstance(value, tuple) else (value,)))
    }


def _write_drawing(folder: Path, pair: str, drawing: Drawing) -> None:
    write_bytes(folder / f"{pair}_{drawing.name}.png", drawing.png)
    write_bytes(folder / f"{pair}_{drawing.name}.svg", drawing.svg)
