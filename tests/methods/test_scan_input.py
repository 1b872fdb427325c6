from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_shresnet.diffusion.bvalues import change_bvalues
from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.diffusion.representation import unregularized_coefficients
from bids_shresnet.methods.linear import ShProjection
from bids_shresnet.methods.networks.denoiser import fit_denoiser
from bids_shresnet.methods.scan_input import (
    ScanInput,
    predict_denoised,
    predict_from_image,
    predict_measured,
)
from tests.methods.heads import PLAIN, QUICK, SHELLS
from tests.methods.noisy_heads import denoising_task, noisy_scan

TARGET_BVALUE = 1200.0


def scan_input(bvalue: float) -> ScanInput:
    scan = noisy_scan(5)
    return ScanInput(scan.dwi, represent_dwi(scan.dwi, scan.mask, SHELLS), (bvalue,))


def test_most_methods_predict_from_the_coefficients_of_all_directions() -> None:
    scan = scan_input(TARGET_BVALUE)
    image = scan.representation.image
    predicted = predict_from_image(ShProjection((1000.0,)), scan)
    np.testing.assert_array_equal(predicted, image.coefficients[image.mask])


def test_a_measured_signal_keeps_all_of_its_noise_and_gets_the_targets_b_value() -> None:
    same = scan_input(SHELLS[0].bvalue)
    measured = unregularized_coefficients(same.representation)
    np.testing.assert_array_equal(predict_measured(ShProjection((1000.0,)), same), measured)
    other = scan_input(TARGET_BVALUE)
    np.testing.assert_array_equal(
        predict_measured(ShProjection((1000.0,)), other),
        change_bvalues(measured, SHELLS, (TARGET_BVALUE,)),
    )


@pytest.mark.slow
def test_a_denoised_signal_gets_the_targets_b_value_as_well() -> None:
    short = replace(QUICK, max_epochs=1)
    denoiser = fit_denoiser(denoising_task(training_config=short, network=PLAIN)).harmonizer
    scan = scan_input(TARGET_BVALUE)
    denoised = denoiser.denoise(scan.dwi, scan.representation.image.mask, SHELLS)
    np.testing.assert_array_equal(
        predict_denoised(denoiser, scan), change_bvalues(denoised, SHELLS, (TARGET_BVALUE,))
    )
