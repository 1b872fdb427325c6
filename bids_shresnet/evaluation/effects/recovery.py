"""Known effects in the source scan of a held-out subject, harmonized by the applied method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.represent import represent_source
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.spatial.regional_power import draw_region_voxels
from bids_shresnet.diffusion.tensor_changes import TensorChange, change_dwi
from bids_shresnet.diffusion.tensors import TensorMaps, fit_dwi_tensor
from bids_shresnet.evaluation.effects.experiment import EffectExperiment
from bids_shresnet.evaluation.effects.known_effects import KNOWN_EFFECTS, ScanAnatomy, label_voxels
from bids_shresnet.evaluation.effects.rows import EffectRow
from bids_shresnet.evaluation.jobs import EvaluateJob
from bids_shresnet.evaluation.results import HeldOutRow
from bids_shresnet.harmonization.apply_coefficients import Application, apply_coefficients
from bids_shresnet.harmonization.harmonized_scan import HarmonizedScan
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.methods.harmonizer import Harmonizer
from bids_shresnet.methods.registry import METHOD_SPECS, load_harmonizer
from bids_shresnet.methods.template.template_methods import TemplateMethods
from bids_shresnet.pairs import MatchedVoxels
from bids_shresnet.scans import Shell, ShImage
from bids_shresnet.training.match_scans import RepresentedScan

COMPARABLE = "comparable"  # kinds of maps
DENOISED = "denoised"


@dataclass(frozen=True)
class VoxelHarmonizer:
    """Harmonizes some voxels of a scan as a user's scan is harmonized, and fits their maps.

    Attributes
    ----------
    harmonizer
        The applied method, fitted without the subject.
    shells
        Shells of the source.
    application
        How its predictions become a scan.
    """

    harmonizer: Harmonizer
    shells: tuple[Shell, ...]
    application: Application

    def __call__(
        self,
        scan: LoadedScan,
        voxels: Bool[np.ndarray, "x y z"],
        *,
        seed: int,
        changes: Sequence[TensorChange | None] = (None,),
    ) -> list[Mapping[str, Float[np.ndarray, "v 2"]]]:
        """Return comparable FA and MD, and denoised ones of methods that denoise.

        There is one result for each change that is put into the harmonized signal; None is none.
        """
        representation = represent_source(scan.dwi, scan.mask, self.shells)
        harmonized = apply_coefficients(
            scan,
            representation,
            self.predict(representation.image, voxels),
            replace(self.application, seed=seed),
        )
        return [_fit_maps(_change_signal(harmonized, voxels, change), voxels) for change in changes]

    def predict(self, image: ShImage, voxels: Bool[np.ndarray, "x y z"]) -> ShImage:
        """Predict the coefficients of some voxels.

        A method on patches needs their neighbours, and an even sample of the brain for its regional
        amplitudes. One in a template needs the whole brain, because it is registered.
        """
        needs_brain = isinstance(self.harmonizer, TemplateMethods)
        sample = draw_region_voxels(image.mask, seed=[0])
        power = image.order_2_power
        if power is not None:  # else changed regions would count for more than their size
            power = np.where(sample[..., None], power, np.float32(np.nan))
        part = replace(image, mask=voxels | sample, order_2_power=power)
        asked = image if needs_brain else part
        coefficients = self.harmonizer.predict(asked).astype(np.float32)
        return replace(image, mask=voxels, coefficients=unmask(coefficients, asked.mask))


def _change_signal(
    harmonized: HarmonizedScan, voxels: Bool[np.ndarray, "x y z"], change: TensorChange | None
) -> HarmonizedScan:
    if change is None:
        return harmonized
    changed = change_dwi(harmonized.signal, voxels, change)
    return replace(harmonized, dwi=changed, signal=changed)


def _fit_maps(
    harmonized: HarmonizedScan, voxels: Bool[np.ndarray, "x y z"]
) -> Mapping[str, Float[np.ndarray, "v 2"]]:
    maps = {COMPARABLE: _select(harmonized.fit_maps(voxels), voxels)}
    if harmonized.is_denoised:
        maps[DENOISED] = _select(harmonized.fit_denoised_maps(voxels), voxels)
    return maps


def _select(maps: TensorMaps, voxels: Bool[np.ndarray, "x y z"]) -> Float[np.ndarray, "v 2"]:
    return np.stack([maps.fa[voxels], maps.md[voxels]], axis=1)


def measure_effects(
    job: EvaluateJob, label: str, matched: MatchedVoxels, source: RepresentedScan
) -> Iterator[EffectRow]:
    """Put known effects into the source scan of a held-out subject, and yield what is found.

    The tissue is that of the matched voxels.
    """
    scan = source.loaded
    experiment = EffectExperiment(
        row=HeldOutRow(subject=label, fold=job.number, method=job.applied_method),
        scan=scan,
        representation=source.representation,
        anatomy=_describe_anatomy(scan, matched),
        harmonize=_applied_harmonizer(job),
        seed=job.seed,
    )
    return experiment.measure(KNOWN_EFFECTS)


def _describe_anatomy(scan: LoadedScan, matched: MatchedVoxels) -> ScanAnatomy:
    """Tissue and tensors of a scan on its own grid."""
    affine = scan.dwi.affine
    tensors = fit_dwi_tensor(scan.dwi, scan.mask)
    return ScanAnatomy(
        tissue=label_voxels(matched.points, matched.tissue, scan.mask, affine),
        fa=unmask(tensors.fa, scan.mask),
        direction=unmask(tensors.direction, scan.mask),
        affine=affine,
    )


def _applied_harmonizer(job: EvaluateJob) -> VoxelHarmonizer:
    """The applied method of a fold."""
    method = job.applied_method
    file = job.fitted_files[METHOD_SPECS[method].fitted_method]
    return VoxelHarmonizer(
        harmonizer=load_harmonizer(file, method, job.device),
        shells=job.shells,
        application=Application(method=method, bvalues=job.target_bvalues, noise=job.noise),
    )
