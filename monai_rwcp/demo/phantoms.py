"""A cohort of phantom patients: organ, wall and nodule in noisy, partly occluded volumes, as NIfTI files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from monai_rwcp.utils.packages import needed

__all__ = ["CLASS_NAMES", "phantom_patient", "write_cohort"]

CLASS_NAMES: tuple[str, ...] = ("background", "organ", "wall", "nodule")

_SHAPE = (48, 48, 12)


def phantom_patient(seed: int, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make one patient: a large organ, a thin wall around part of it, a small nodule nearby, and distractors.

    Args:
        seed: seed of the cohort.
        index: number of the patient; patient ``index`` is the same in a cohort of any size.

    Returns:
        image, float32 ``[48, 48, 12]`` in arbitrary units; label, uint8 of the same shape (0 background, 1 organ,
        2 wall, 3 nodule); and the affine from voxels to mm, ``[4, 4]`` (oblique, mirrored, about 1.5 x 1.5 x 4 mm).

    Example:
        >>> image, label, affine = phantom_patient(seed=0, index=3)
        >>> image.shape, sorted(set(label.ravel().tolist()))
        ((48, 48, 12), [0, 1, 2, 3])
    """
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng([seed, index])
    spacing = np.array([1.5, 1.5, 4.0]) * random.uniform(0.9, 1.1, 3)

    def field(sigma_mm: float) -> np.ndarray:
        smooth = gaussian_filter(random.standard_normal(_SHAPE), sigma_mm / spacing, mode="wrap")
        return (smooth - smooth.mean()) / smooth.std()

    centre = (np.array(_SHAPE) - 1) / 2 * spacing + random.uniform(-6, 6, 3) * [1, 1, 0.5]
    x, y, z = (np.arange(n) * s for n, s in zip(_SHAPE, spacing, strict=True))
    position = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1) - centre
    radii = random.uniform([12, 11, 12], [16, 15, 17])
    distance = np.linalg.norm(position / radii, axis=-1) + 0.10 * field(14.0)
    organ = distance < 1
    angle = np.arctan2(position[..., 1], position[..., 0])
    towards = random.uniform(0, 2 * np.pi)
    thickness = random.uniform(0.32, 0.48) + 0.04 * field(16.0)
    around = np.cos(angle - towards) > random.uniform(-0.9, -0.3)
    wall = ~organ & (distance < 1 + thickness) & around & (np.abs(position[..., 2]) < radii[2])
    # On the side that the wall leaves free.
    away = towards + np.pi + random.uniform(-0.5, 0.5)
    reach = radii[0] * radii[1] / np.hypot(radii[1] * np.cos(away), radii[0] * np.sin(away))
    place = np.array([np.cos(away), np.sin(away), 0]) * (reach + random.uniform(8, 11)) + [0, 0, random.uniform(-8, 8)]
    nodule = np.linalg.norm((position - place) / random.uniform([5.5, 5.5, 7], [7.5, 7.5, 10]), axis=-1) < 1
    nodule &= ~organ & ~wall
    label = (organ * 1 + wall * 2 + nodule * 3).astype(np.uint8)

    image = 0.35 + 0.05 * field(6.0)
    for _ in range(random.integers(1, 5)):
        blob_place = random.uniform(0, 1, 3) * np.array(_SHAPE) * spacing - centre
        blob = np.linalg.norm((position - blob_place) / random.uniform(4, 10, 3), axis=-1) < 1
        image[blob & (label == 0)] = random.uniform(0.45, 0.65)
    contrast = random.uniform(0.8, 1.0)
    for mask, level in ((organ, 0.62), (wall, 0.95), (nodule, 1.1)):
        image[mask] += contrast * (level - image[mask])
    # Where the occlusion is strong a structure fades into its surroundings, though it is still there.
    occlusion = np.clip(field(9.0) - random.uniform(1.6, 2.4), 0, 0.8)
    image = image + occlusion * (0.35 - image)
    image = gaussian_filter(image, np.array([1.2, 1.2, 2.0]) / spacing) * (1 + 0.10 * field(40.0))
    image = image + random.uniform(0.10, 0.18) * random.standard_normal(_SHAPE)
    return (1000 * image).astype(np.float32), label, _oblique_affine(random, spacing)


def write_cohort(folder: str | Path, n_patients: int, seed: int, first: int = 0) -> list[dict[str, str]]:
    """Write phantom patients as NIfTI files.

    Args:
        folder: where they go; made when it does not exist.
        n_patients: how many.
        seed: seed of the cohort.
        first: number of the first patient.

    Returns:
        a MONAI data list: for each patient the paths ``image`` and ``label``, and the name ``patient``.

    Raises:
        ImportError: when nibabel is missing or too old.
    """
    with needed("Writing NIfTI files needs", "demo", "nibabel"):
        import nibabel
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    cases = []
    for index in range(first, first + n_patients):
        name = f"patient{index:03d}"
        image, label, affine = phantom_patient(seed, index)
        paths = {"image": folder / f"{name}_image.nii.gz", "label": folder / f"{name}_label.nii.gz"}
        nibabel.save(nibabel.Nifti1Image(image, affine), paths["image"])
        nibabel.save(nibabel.Nifti1Image(label, affine), paths["label"])
        cases.append({"image": str(paths["image"]), "label": str(paths["label"]), "patient": name})
    return cases


def _oblique_affine(random: np.random.Generator, spacing: np.ndarray) -> np.ndarray:
    tilt = np.deg2rad(random.uniform(-12, 12))
    rotation = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(spacing * [-1, random.choice([-1, 1]), 1])
    affine[:3, 3] = random.uniform(-60, 60, 3)
    return affine
