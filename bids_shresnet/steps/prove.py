"""Prove: results of all folds -> tables, figures, the report, and the verdict in the model's card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bids_shresnet.config import Method
from bids_shresnet.errors import Finding
from bids_shresnet.files.drawing import Drawing
from bids_shresnet.files.figures import bias_figure, error_figure
from bids_shresnet.files.models import CARD, HELD_OUT, ORIENTATION, SWEEP, Model, read_model
from bids_shresnet.files.provenance import software
from bids_shresnet.files.report import PairProof, group_report, sentence
from bids_shresnet.files.storage import write_bytes, write_json, write_text, write_tsv
from bids_shresnet.files.sweep import sweep_figure, sweep_table
from bids_shresnet.files.tables import read_tsv
from bids_shresnet.statistics import NOTHING, QUANTITIES, RESCAN, Bias, Comparison, HeldOut, bias_summary, compare
from bids_shresnet.verdicts import verdicts

FOR_THE_CARD = (NOTHING, "linear_rish", "patch_linear")  # what a verdict is given against
SUBJECTS = ("Training", "Validation", "Test")  # of a fold, in the card
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


@dataclass(frozen=True)
class Evidence:
    """All that was found on the held-out subjects of one pair.

    Attributes
    ----------
    orientations
        Plain records, for the table.
    uncertainty
        How the spread of the networks goes with their error, a plain record.
    missing
        Errors of the shells that the source lacks, where these are predicted: plain records.
    """

    model: Model
    method: Method
    rows: tuple[HeldOut, ...]
    orientations: tuple[Mapping[str, Any], ...]
    uncertainty: Mapping[str, Any] | None = None
    missing: Sequence[Mapping[str, Any]] = ()

    @property
    def references(self) -> list[str]:
        """Methods that the applied one is compared with."""
        return [name for name in dict.fromkeys(row.method for row in self.rows) if name not in (self.method, RESCAN)]

    @cached_property  # a bootstrap, asked for by tables, figures and the card
    def comparisons(self) -> tuple[Comparison, ...]:
        """The applied method with each of them."""
        return compare(self.rows, self.method, self.references)

    @cached_property
    def biases(self) -> tuple[Bias, ...]:
        """Site bias of each method."""
        return bias_summary(self.rows)


def write_proof(evidence: Evidence) -> Model:
    """Write the rows and the verdict into the model's folder; the card comes last."""
    folder = evidence.model.folder
    write_tsv(folder / HELD_OUT, [asdict(row) for row in evidence.rows])
    write_tsv(folder / ORIENTATION, evidence.orientations)
    write_json(folder / CARD, {**evidence.model.card, "Proof": proof_record(evidence)})
    return read_model(folder)


def proof_record(evidence: Evidence) -> dict[str, Any]:
    """The verdict, as model.json and every sidecar repeat it."""
    judged = [one for one in evidence.comparisons if one.reference in FOR_THE_CARD]
    return {
        "Method": evidence.method,
        "Subjects": len({row.subject for row in evidence.rows}),
        "BetterThan": {
            one.reference: {"Answer": one.answer, "LargestP": float(f"{one.p:.3g}"), "SmallestPossibleP": one.p_floor}
            for one in verdicts(judged)
        },
        **({"Uncertainty": evidence.uncertainty} if evidence.uncertainty else {}),
        **({"MissingShells": list(evidence.missing)} if evidence.missing else {}),
    }


def read_evidence(model: Model) -> Evidence:
    """What `write_proof` left in a model's folder."""
    rows = tuple(_held_out(row) for row in read_tsv(model.folder / HELD_OUT))
    orientations = tuple(read_tsv(model.folder / ORIENTATION))
    proof = model.proof
    return Evidence(
        model, proof["Method"], rows, orientations, proof.get("Uncertainty"), proof.get("MissingShells", ())
    )


def _held_out(row: Mapping[str, str]) -> HeldOut:
    where = (row["method"], row["tissue"], row["quantity"])
    return HeldOut(row["subject"], int(row["fold"]), *where, float(row["nmse"]), float(row["bias"]))


def doubts(model: Model, method: Method) -> tuple[Finding, ...]:
    """Why to think twice before applying a model so; nothing where it is proven better than doing nothing."""
    if not model.proof:
        return (Finding("error", model.name, "it was never cross-validated", "Run `group` to see whether it helps."),)
    if model.proof["Method"] != method:
        value = f"the proof is that of {model.proof['Method']}, not of {method}"
        return (Finding("error", model.name, value, "Apply the method that was proven, or train and prove anew."),)
    found = model.proof["BetterThan"].get(NOTHING, {"Answer": "no"})
    if found["Answer"] == "yes":
        return ()
    value = f"not proven to be better than doing nothing ({found['Answer']}; p = {found.get('LargestP', 'n/a')})"
    remedy = "Look at group.html, or run `group` on data with more travelling subjects."
    return (Finding("error", model.name, value, remedy),)


def pair_proof(evidence: Evidence) -> PairProof:
    """What the report says of a pair."""
    ours = evidence.comparisons
    others = tuple(
        item for name in evidence.references if name != NOTHING for item in compare(evidence.rows, name, [NOTHING])
    )
    figures = [error_figure(evidence.rows, (*ours, *others), quantity) for quantity in QUANTITIES]
    sweep = _sweep(evidence.model.folder / SWEEP)
    return PairProof(
        name=evidence.model.name,
        source=evidence.model.source,
        target=evidence.model.target,
        comparisons=ours,
        biases=evidence.biases,
        rows=evidence.rows,
        figures=(*figures, bias_figure(evidence.biases), *([sweep_figure(sweep)] if sweep else [])),
        sweep=sweep_table(sweep),
        splits=evidence.model.splits,
        method=evidence.method,
        notes=(*_orientation_notes(evidence), *_uncertainty_notes(evidence), *_missing_notes(evidence)),
    )


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
        return []
    low, high = evidence.uncertainty["Groups"][0], evidence.uncertainty["Groups"][-1]
    correlation = evidence.uncertainty["RankCorrelation"]
    return [
        f"The uncertainty map is the spread of the networks, {low['Spread']:.4f} in its lowest and "
        f"{high['Spread']:.4f} in its highest fifth of voxels; the error there (S/S0, less the noise of the target's "
        f"scan) is {low['Error']:.4f} and {high['Error']:.4f}, with a rank correlation of {correlation:.2f}."
    ]


def _missing_notes(evidence: Evidence) -> list[str]:
    """How well the shells that the source lacks are predicted."""
    return [
        f"The shell b = {one['BValue']:.0f} s/mm2, which the source lacks, is predicted by {one['Method']} with an "
        f"NMSE of {one['NMSE']:#.3g} ({one['Tissue']}, held-out subjects). It is not measured in any form."
        for one in evidence.missing
    ]


def _sweep(table: Path) -> list[Mapping[str, int | float]]:
    """Validation errors by number of ResBlocks, where that was tried."""
    rows = read_tsv(table) if table.exists() else []
    kinds = {"resblocks": int, "fold": int, "validation_loss": float}
    return [{name: kind(row[name]) for name, kind in kinds.items()} for row in rows]


def write_group(root: Path, evidence: Sequence[Evidence], command: str) -> tuple[str, ...]:
    """Write group_harmonization.tsv and .json, figures and group.html; returns what is proven, a sentence a pair."""
    proofs = [pair_proof(item) for item in evidence]
    rows = [{"pair": item.model.name, **asdict(row)} for item in evidence for row in item.rows]
    write_tsv(root / "group_harmonization.tsv", rows, list(COLUMNS))
    write_json(root / "group_harmonization.json", {**COLUMNS, "Pairs": [_pair_record(item) for item in evidence]})
    for proof in proofs:
        for drawing in proof.figures:
            _write_drawing(root / "figures", proof.name, drawing)
    write_text(root / "group.html", group_report(proofs, {"command": command, **software()}))
    return tuple(sentence(proof) for proof in proofs)


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
