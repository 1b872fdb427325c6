"""Differences between a scan and the scans that a model was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bids_shresnet.diffusion.shells import find_shell_volumes
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.inputs.acquisition import read_acquisition
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.pair_shells import match_pair_shells
from bids_shresnet.scans import Acquisition, Scan, Shell

VOXEL_SIZE_TOLERANCE = 0.05  # relative; patches are counted in voxels
ECHO_TIME_TOLERANCE = 0.05  # relative; it changes the contrast of S0
BVALUE_TOLERANCE = 0.01  # relative; up to here b-values are rounding
MAX_B0_RATIO = 2  # from here on, the noise of S0 is another one
DIRECTION_COUNT_TOLERANCE = 0.1  # relative; a few volumes are often left out of a scan


@dataclass(frozen=True)
class Protocol:
    """What the scans of one scanner should be like.

    Attributes
    ----------
    model_name, scanner_label
        The model that was, or will be, trained on such scans, and their scanner.
    acquisition, shells
        Of the scans that it was trained on.
    """

    model_name: str
    scanner_label: str
    acquisition: Acquisition
    shells: tuple[Shell, ...]

    @classmethod
    def of_source(cls, model: Model) -> Protocol:
        """Protocol of the scans that a model harmonizes."""
        return cls(model.name, model.source, model.card.source_acquisition, model.source_shells)


def find_protocols(
    pairs: Iterable[Pair], models: Iterable[Model], sh_order: int | None
) -> list[Protocol]:
    """Find the protocols of models, and of the scans that pairs will be trained on."""
    protocols = [Protocol.of_source(model) for model in models]
    for pair in pairs:
        try:
            protocols += _pair_protocols(pair, sh_order)
        except BadInput:  # a finding of the checks of images and shells
            continue
    return protocols


def check_protocols(scans: Iterable[Scan], protocols: Sequence[Protocol]) -> list[Finding]:
    """Warn about scans that differ from those that a model of their scanner was trained on."""
    findings = []
    for scan in scans:
        for protocol in protocols:
            if protocol.scanner_label == scan.scanner_label:
                findings += _check_scan(scan, protocol)
    return findings


def describe_differences(scan: Scan, acquisition: Acquisition, protocol: Protocol) -> list[str]:
    """Describe how a scan differs from a protocol, by more than scans of one protocol do."""
    expected = protocol.acquisition
    return [
        *_compare_voxel_sizes(acquisition, expected),
        *_compare_echo_times(acquisition, expected),
        *_compare_b0_counts(acquisition, expected),
        *_compare_preprocessing(acquisition, expected),
        *_compare_shells(scan, protocol.shells),
    ]


def _pair_protocols(pair: Pair, sh_order: int | None) -> list[Protocol]:
    """Protocols of the first travelling subject, which the model will name."""
    source, target = pair.travelling_scans[0]
    shells = match_pair_shells(pair, sh_order)
    return [
        Protocol(pair.name, pair.source.label, read_acquisition(source), shells.source),
        Protocol(pair.name, pair.target.label, read_acquisition(target), shells.target),
    ]


def _check_scan(scan: Scan, protocol: Protocol) -> list[Finding]:
    """Warn about each difference of a scan."""
    try:
        acquisition = read_acquisition(scan)
    except BadInput:  # a finding of the checks of images
        return []
    remedy = (
        f"The model {protocol.model_name} may not apply: train one on scans of this protocol, or "
        "leave the scan out."
    )
    differences = describe_differences(scan, acquisition, protocol)
    return [Finding.warning(scan.image, difference, remedy) for difference in differences]


def _compare_voxel_sizes(scan: Acquisition, expected: Acquisition) -> Iterator[str]:
    ratios = np.array(scan.voxel_size) / np.array(expected.voxel_size)
    if np.abs(ratios - 1).max() > VOXEL_SIZE_TOLERANCE:
        sizes = [_format_mm(acquisition.voxel_size) for acquisition in (scan, expected)]
        yield f"voxels of {sizes[0]} mm; the model was trained on {sizes[1]} mm"


def _compare_echo_times(scan: Acquisition, expected: Acquisition) -> Iterator[str]:
    if scan.echo_time is None or expected.echo_time is None:
        return
    if abs(scan.echo_time - expected.echo_time) > ECHO_TIME_TOLERANCE * expected.echo_time:
        times = f"{1000 * scan.echo_time:g} ms; the model was trained on"
        yield f"an echo time of {times} {1000 * expected.echo_time:g} ms"


def _compare_b0_counts(scan: Acquisition, expected: Acquisition) -> Iterator[str]:
    counts = (scan.b0_count, expected.b0_count)
    if max(counts) >= MAX_B0_RATIO * min(counts):
        yield f"{counts[0]} b=0 volumes; the model was trained on {counts[1]}"


def _compare_preprocessing(scan: Acquisition, expected: Acquisition) -> Iterator[str]:
    if scan.mask_method != expected.mask_method:
        masks = f"{scan.mask_method}; the model was trained on"
        yield f"a brain mask that is {masks} masks that were {expected.mask_method}"
    if {scan.denoised, expected.denoised} == {"yes", "no"}:
        if scan.denoised == "yes":
            yield "a denoised scan; the model was trained on scans with their noise"
        else:
            yield "a scan with its noise; the model was trained on denoised scans"


def _compare_shells(scan: Scan, shells: Sequence[Shell]) -> Iterator[str]:
    """Compare the mean b-value and the number of directions of each shell."""
    bvals = np.array(scan.bvals)
    try:
        volumes = find_shell_volumes(bvals, shells)
    except ValueError:  # the scan is excluded, or the pair refused
        return
    for indices, shell in zip(volumes, shells, strict=True):
        yield from _compare_bvalues(float(bvals[indices].mean()), shell)
        yield from _compare_direction_counts(len(indices), shell)


def _compare_bvalues(bvalue: float, shell: Shell) -> Iterator[str]:
    if abs(bvalue - shell.bvalue) > BVALUE_TOLERANCE * shell.bvalue:
        values = f"b = {bvalue:.0f}; the model was trained on b = {shell.bvalue:.0f}"
        yield f"{values}, to which the signal is brought (mono-exponential decay)"


def _compare_direction_counts(count: int, shell: Shell) -> Iterator[str]:
    expected = shell.direction_count
    if expected and abs(count - expected) > DIRECTION_COUNT_TOLERANCE * expected:
        directions = f"{count} directions at b = {shell.bvalue:.0f}"
        yield f"{directions}; the model was trained on {expected}, with another noise"


def _format_mm(sizes: Sequence[float]) -> str:
    return " x ".join(f"{size:g}" for size in sizes)
