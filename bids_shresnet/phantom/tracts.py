"""Fibre orientations of the phantom, in closed form over MNI space: three large systems that cross each other.

Commissural fibres arch through the corpus callosum from left to right, projection fibres fan from the brain stem
up to the cortex, association fibres run from back to front. Only the layout of real white matter is imitated:
where they lie, that they bend smoothly, and that they cross in the centrum semiovale.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Points = Float[np.ndarray, "... 3"]  # MNI space, mm
Field = Float[np.ndarray, "..."]  # one value a point


def tract_directions(points: Points) -> Float[np.ndarray, "... 3 3"]:
    """Unit vectors (..., system, axis) of the commissural, projection and association fibres at each point."""
    x, y, z = np.moveaxis(points, -1, 0)
    directions = np.stack(
        [
            _commissural_directions(x, y),
            _projection_directions(x, y, z),
            _association_directions(x, y, z),
        ],
        axis=-2,
    )
    return np.asarray(directions / np.linalg.norm(directions, axis=-1, keepdims=True))


def tract_densities(points: Points) -> Float[np.ndarray, "... 3"]:
    """How much of each system passes a point, 0 to 1, (..., system); all are low near the cortex."""
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    roof = (
        26 - 22 * np.square((y + 4) / 38) + 0.35 * x
    )  # mid-height of the callosal sheet, which rises sideways
    callosum = (
        _gaussian(z - roof, 10 + 0.2 * x)
        * _gaussian(np.maximum(np.abs(y + 2) - 36, 0), 6 + 0.4 * x)
        * _gaussian(x, 30.0)
    )
    spine = _fan_half_width(z)
    projection = _gaussian(x - 21 * spine, 7 + 6 * spine) * _gaussian(y + 20, 10 + 14 * spine)
    superior = (
        _gaussian(x - 36, 6.0)
        * _gaussian(z - 26, 8.0)
        * _gaussian(np.maximum(np.abs(y + 15) - 30, 0), 12.0)
    )
    inferior = (
        _gaussian(x - 36, 7.0)
        * _gaussian(z + 6, 8.0)
        * _gaussian(np.maximum(np.abs(y + 25) - 45, 0), 12.0)
    )
    cingulum = (
        _gaussian(x - 9, 3.5)
        * _gaussian(z - roof - 10, 5.0)
        * _gaussian(np.maximum(np.abs(y + 4) - 30, 0), 8.0)
    )
    return np.stack(
        [callosum, projection, np.maximum(np.maximum(superior, inferior), cingulum)], axis=-1
    )


def _commissural_directions(x: Field, y: Field) -> Points:
    """Left to right: level in the middle, bent upwards in the body, forwards and backwards in the two forceps."""
    side = np.sign(x) * (1 - np.exp(-np.square(x / 18)))
    ends = np.clip((y + 4) / 30, -1.2, 1.2) ** 3
    return np.stack(
        [np.ones_like(x), 1.2 * side * ends, 0.9 * side * (1 - np.minimum(np.abs(ends), 1))],
        axis=-1,
    )


def _projection_directions(x: Field, y: Field, z: Field) -> Points:
    """Upwards along the flow lines of a fan that is narrow in the brain stem and wide below the cortex."""
    spread = _fan_half_width(z)
    slope = (_fan_half_width(z + 1) - _fan_half_width(z - 1)) / 2 / spread
    return np.stack([x * slope, (y + 20) * slope, np.ones_like(x)], axis=-1)


def _association_directions(x: Field, y: Field, z: Field) -> Points:
    """Back to front, over the top of a wide arc; nearer the midline (cingulum) the arc is tighter."""
    radius = 55 + 1.2 * np.abs(x)
    return np.stack(
        [-0.004 * x, np.ones_like(x), -(y + 8) / radius * np.clip(z / 25, -0.4, 1)], axis=-1
    )


def _fan_half_width(z: Field) -> Field:
    """Half-width of the projection fan relative to the internal capsule."""
    return np.asarray(
        0.3 + 0.7 / (1 + np.exp(-(z + 18) / 9)) + 0.25 * np.logaddexp(0, (z - 12) / 10)
    )


def _gaussian(distance: Field, width: Field | float) -> Field:
    """A Gaussian of height one."""
    return np.asarray(np.exp(-0.5 * np.square(distance / width)))
