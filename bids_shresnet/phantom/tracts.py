"""Fibre orientations of the phantom, in closed form over MNI space: three large systems that cross.

Commissural fibres arch through the corpus callosum from left to right, projection fibres fan from
the brain stem up to the cortex, association fibres run from back to front. Only the layout of real
white matter is imitated: where they lie, that they bend smoothly, and that they cross in the
centrum semiovale.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Points = Float[np.ndarray, "... 3"]  # MNI space, mm
Field = Float[np.ndarray, "..."]  # one value per point


def tract_directions(points: Points) -> Float[np.ndarray, "... 3 3"]:
    """Directions of the commissural, projection and association fibres at each point.

    Returns
    -------
    Unit vectors, (..., system, axis).
    """
    x, y, z = np.moveaxis(points, -1, 0)
    systems = [
        _commissural_directions(x, y),
        _projection_directions(x, y, z),
        _association_directions(x, y, z),
    ]
    directions = np.stack(systems, axis=-2)
    return np.asarray(directions / np.linalg.norm(directions, axis=-1, keepdims=True))


def tract_densities(points: Points) -> Float[np.ndarray, "... 3"]:
    """Density of each system at each point, 0 to 1, (..., system); all are low near the cortex."""
    x = np.abs(points[..., 0])
    y = points[..., 1]
    z = points[..., 2]
    systems = [
        _commissural_density(x, y, z),
        _projection_density(x, y, z),
        _association_density(x, y, z),
    ]
    return np.stack(systems, axis=-1)


def _commissural_density(x: Field, y: Field, z: Field) -> Field:
    """Density of the callosal sheet."""
    height = _gaussian(z - _callosal_height(x, y), 10 + 0.2 * x)
    length = _gaussian(np.maximum(np.abs(y + 2) - 36, 0), 6 + 0.4 * x)
    return np.asarray(height * length * _gaussian(x, 30.0))


def _projection_density(x: Field, y: Field, z: Field) -> Field:
    """Density of the fan between brain stem and cortex."""
    width = _fan_half_width(z)
    sideways = _gaussian(x - 21 * width, 7 + 6 * width)
    return np.asarray(sideways * _gaussian(y + 20, 10 + 14 * width))


def _association_density(x: Field, y: Field, z: Field) -> Field:
    """Density of the superior and the inferior bundle and of the cingulum, whichever is highest."""
    superior = _gaussian(x - 36, 6.0) * _gaussian(z - 26, 8.0)
    superior = superior * _gaussian(np.maximum(np.abs(y + 15) - 30, 0), 12.0)
    inferior = _gaussian(x - 36, 7.0) * _gaussian(z + 6, 8.0)
    inferior = inferior * _gaussian(np.maximum(np.abs(y + 25) - 45, 0), 12.0)
    cingulum = _gaussian(x - 9, 3.5) * _gaussian(z - _callosal_height(x, y) - 10, 5.0)
    cingulum = cingulum * _gaussian(np.maximum(np.abs(y + 4) - 30, 0), 8.0)
    return np.asarray(np.maximum(np.maximum(superior, inferior), cingulum))


def _callosal_height(x: Field, y: Field) -> Field:
    """Mid-height of the callosal sheet, which rises sideways."""
    return np.asarray(26 - 22 * np.square((y + 4) / 38) + 0.35 * x)


def _commissural_directions(x: Field, y: Field) -> Points:
    """Left to right: level in the middle, bent upwards in the body and outwards in the forceps."""
    side = np.sign(x) * (1 - np.exp(-np.square(x / 18)))
    ends = np.clip((y + 4) / 30, -1.2, 1.2) ** 3
    upwards = 0.9 * side * (1 - np.minimum(np.abs(ends), 1))
    return np.stack([np.ones_like(x), 1.2 * side * ends, upwards], axis=-1)


def _projection_directions(x: Field, y: Field, z: Field) -> Points:
    """Upwards along a fan that is narrow in the brain stem and wide below the cortex."""
    width = _fan_half_width(z)
    slope = (_fan_half_width(z + 1) - _fan_half_width(z - 1)) / 2 / width
    return np.stack([x * slope, (y + 20) * slope, np.ones_like(x)], axis=-1)


def _association_directions(x: Field, y: Field, z: Field) -> Points:
    """Back to front, over the top of a wide arc that is tighter near the midline (cingulum)."""
    radius = 55 + 1.2 * np.abs(x)
    upwards = -(y + 8) / radius * np.clip(z / 25, -0.4, 1)
    return np.stack([-0.004 * x, np.ones_like(x), upwards], axis=-1)


def _fan_half_width(z: Field) -> Field:
    """Half-width of the projection fan relative to the internal capsule."""
    capsule = 0.7 / (1 + np.exp(-(z + 18) / 9))
    return np.asarray(0.3 + capsule + 0.25 * np.logaddexp(0, (z - 12) / 10))


def _gaussian(distance: Field, width: Field | float) -> Field:
    """A Gaussian of height one."""
    return np.asarray(np.exp(-0.5 * np.square(distance / width)))
