"""Generated image grids: all 48 ways to store an image, straight and oblique."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Float
from scipy.spatial.transform import Rotation

STORAGES = list(product(permutations(range(3)), product((1.0, -1.0), repeat=3)))


@st.composite
def grids(draw: st.DrawFn) -> Float[np.ndarray, "4 4"]:
    """Affines with axes in any order and direction, and voxels of 0.5 to 4 mm.

    Each component of the rotation is up to 20 degrees.
    """
    order, signs = draw(st.sampled_from(STORAGES))
    sizes = draw(st.tuples(*[st.floats(0.5, 4)] * 3))
    angles = draw(st.tuples(*[st.floats(-0.35, 0.35) | st.just(0.0)] * 3))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(angles).as_matrix()[:, order] * signs * sizes
    affine[:3, 3] = draw(st.tuples(*[st.floats(-90, 90)] * 3))
    return affine
