"""Image files as nibabel, ITK and others write them."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np


def nifti(path: Path, values: np.ndarray, affine: np.ndarray, unit: str | int = "mm") -> Path:
    """In a unit of length by nibabel's name, or by a number of the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(values, affine)
    if isinstance(unit, str):
        image.header.set_xyzt_units(unit)
    else:
        image.header["xyzt_units"] = unit
    nibabel.save(image, path)
    return path


def itk(path: Path, values: np.ndarray, affine: np.ndarray, *, vector: bool = False, packed: bool = True) -> Path:
    """``[x, y(, z)]``, or ``[x, y(, z), C]`` as a vector image, by SimpleITK, wherever the affine (RAS, mm) puts it."""
    import SimpleITK

    path.parent.mkdir(parents=True, exist_ok=True)
    axes = values.ndim - vector
    turned = np.moveaxis(np.moveaxis(values, -1, 0).T, -1, -1) if vector else values.T
    image = SimpleITK.GetImageFromArray(turned, isVector=vector)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    lengths = np.linalg.norm(lps[:axes, :axes], axis=0)
    image.SetSpacing(lengths.tolist())
    image.SetDirection((lps[:axes, :axes] / lengths).ravel().tolist())
    image.SetOrigin(lps[:axes, 3].tolist())
    SimpleITK.WriteImage(image, str(path), packed)
    return path
