"""Evidence: all that was found on held-out subjects of a pair, written into its model's folder and read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from bids_shresnet.evaluation.agreement import Agreement, Histograms, Power
from bids_shresnet.evaluation.statistics import RESCAN, Bias, Comparison, HeldOut, bias_summary, compare
from bids_shresnet.evaluation.verdicts import FOR_THE_CARD, verdicts
from bids_shresnet.io.safetensors import read_arrays, read_record, to_bytes
from bids_shresnet.io.storage import read_tsv, write_bytes, write_json, write_tsv
from bids_shresnet.outputs.model_folder import (
    AGREEMENT,
    CARD,
    HELD_OUT,
    HISTOGRAMS,
    ORIENTATION,
    POWER,
    Model,
    read_model,
)
from bids_shresnet.settings import Method

COUNTS = "counts"
Row = TypeVar("Row", HeldOut, Agreement, Power)


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
    agreements, powers, histograms
        How the scans before and after lie to what was measured; none in models that earlier versions proved.
    """

    model: Model
    method: Method
    rows: tuple[HeldOut, ...]
    orientations: tuple[Mapping[str, Any], ...]
    uncertainty: Mapping[str, Any] | None = None
    missing: Sequence[Mapping[str, Any]] = ()
    agreements: tuple[Agreement, ...] = ()
    powers: tuple[Power, ...] = ()
    histograms: Histograms | None = None

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
    if evidence.histograms is not None:
        write_tsv(folder / AGREEMENT, [asdict(row) for row in evidence.agreements])
        write_tsv(folder / POWER, [asdict(row) for row in evidence.powers])
        write_histograms(folder / HISTOGRAMS, evidence.histograms)
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
    folder, proof = model.folder, model.proof
    return Evidence(
        model=model,
        method=proof["Method"],
        rows=_read(folder / HELD_OUT, HeldOut),
        orientations=tuple(read_tsv(folder / ORIENTATION)),
        uncertainty=proof.get("Uncertainty"),
        missing=proof.get("MissingShells", ()),
        agreements=_read(folder / AGREEMENT, Agreement),
        powers=_read(folder / POWER, Power),
        histograms=read_histograms(folder / HISTOGRAMS) if (folder / HISTOGRAMS).exists() else None,
    )


def write_histograms(file: Path, histograms: Histograms) -> None:
    """Write the counts, with the subjects they are of."""
    write_bytes(file, to_bytes({COUNTS: histograms.counts}, {"subjects": list(histograms.subjects)}))


def read_histograms(file: Path) -> Histograms:
    """Read what `write_histograms` wrote."""
    return Histograms(read_arrays(str(file))[COUNTS], tuple(read_record(str(file))["subjects"]))


def _read(table: Path, kind: type[Row]) -> tuple[Row, ...]:
    """Rows of a table as the dataclass they were written from; none where there is no such table."""
    types = get_type_hints(kind)
    rows = read_tsv(table) if table.exists() else []
    return tuple(kind(**{name: types[name](cell) for name, cell in row.items()}) for row in rows)
