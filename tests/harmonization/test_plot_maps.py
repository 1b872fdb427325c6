from __future__ import annotations

import numpy as np

from bids_shresnet.harmonization.plot_maps import plot_maps


def test_the_slice_with_most_fa_is_shown_and_md_in_units_of_1e_minus_3() -> None:
    fa = np.zeros((3, 4, 5))
    fa[1, 2, 3] = 0.8
    md = np.full(fa.shape, 1e-3)
    figure = plot_maps({"FA": fa / 2, "MD": md}, {"FA": fa, "MD": 2 * md})
    panels = [axis for axis in figure.axes if axis.get_title()]
    shown = [panel.images[0].get_array() for panel in panels]
    np.testing.assert_allclose(shown[1], fa[..., 3].T)
    np.testing.assert_allclose(shown[2], fa[..., 3].T / 2)
    np.testing.assert_allclose(shown[5], np.ones((4, 3)))
    (chosen,) = plot_maps({"FA": fa}, {"FA": fa}, 0).axes[1].images
    assert not chosen.get_array().any()
