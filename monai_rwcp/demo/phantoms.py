"""A cohort of phantom patients: two organs in noisy, blurred and partly occluded volumes, as NIfTI files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

__all__ = ["CLASS_NAMES", "phantom_patient", "write_cohort"]

CLASS_NAMES = ("background", "core", "shell")

_SHAPE = (56, 56, 16)


def phantom_patient(seed: int, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make one patient: a core with a shell around part of it, and distractors of similar intensity.

    Args:
        seed: seed of the cohort.
        index: number of the patient; patient ``index`` is the same in a cohort of any size.

    Returns:
        image, float32 ``[56, 56, 16]`` in arbitrary units; label, uint8 of the same shape (0 background, 1 core,
        2 shell); and the affine from voxels to mm, ``[4, 4]`` (oblique, mirrored, about 1.5 x 1.5 x 4 mm).

    Example:
        >>> image, label, affine = phantom_patient(seed=0, index=3)
        >>> image.shape, sorted(set(label.ravel().tolist()))
        ((56, 56, 16), [0, 1, 2])
    """
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng([seed, index])
    spacing = np.array([1.5, 1.5, 4.0]) * random.uniform(0.9, 1.1, 3)

    def field(sigma_mm: float) -> np.ndarray:
        smooth = gaussian_filter(random.standard_normal(_SHAPE), sigma_mm / spacing, mode="wrap")
        return (smooth - smooth.mean()) / smooth.std()

    centre = (np.array(_SHAPE) - 1) / 2 * spacing + random.uniform(-8, 8, 3) * [1, 1, 0.5]
    x, y, z = (np.arange(n) * s for n, s in zip(_SHAPE, spacing, strict=True))
    position = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1) - centre
    radii = random.uniform([11, 9, 13], [17, 15, 22])
    distance = np.linalg.norm(position / radii, axis=-1) + 0.10 * field(14.0)
    core = distance < 1
    angle = np.arctan2(position[..., 1], position[..., 0])
    thickness = random.uniform(0.30, 0.50) + 0.06 * field(16.0)
    around = np.cos(angle - random.uniform(0, 2 * np.pi)) > random.uniform(-0.9, -0.3)
    shell = ~core & (distance < 1 + thickness) & around & (np.abs(position[..., 2]) < radii[2])
    label = (core * 1 + shell * 2).astype(np.uint8)

    image = 0.35 + 0.07 * field(6.0)
    for _ in range(random.integers(2, 6)):
        place = random.uniform(0, 1, 3) * np.array(_SHAPE) * spacing - centre
        blob = np.linalg.norm((position - place) / random.uniform(4, 10, 3), axis=-1) < 1
        image[blob & (label == 0)] = random.uniform(0.5, 0.8)
    contrast = random.uniform(0.65, 1.0)
    image[core] += contrast * (0.62 - image[core])
    image[shell] += contrast * (0.85 - image[shell])
    # Where the occlusion is strong an organ fades into its surroundings, though it is still there.
    occlusion = np.clip(field(9.0) - random.uniform(1.1, 1.9), 0, 0.9)
    image = image + occlusion * (0.35 - image)
    image = gaussian_filter(image, np.array([1.5, 1.5, 2.0]) / spacing) * (1 + 0.10 * field(40.0))
    image = image + random.uniform(0.04, 0.10) * random.standard_normal(_SHAPE)
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
        ImportError: when nibabel is missing.
    """
    try:
        import nibabel
    except ModuleNotFoundError as error:
        raise ImportError('Writing NIfTI files needs nibabel: pip install "monai-rwcp[demo]".') from error
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
