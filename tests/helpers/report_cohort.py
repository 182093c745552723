"""Twelve patients whose sets, labels and images the tests of the report show."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from monai_rwcp.conformal import Calibration, ClassCalibration, Promise
from monai_rwcp.provenance import RecordedStep, ScoreRecord

SHAPE, SPACING, N = (20, 16, 6), (1.0, 1.5, 3.0), 12


class Cohort:
    """Twelve patients with two classes: sets, inner sets, labels, images."""

    n, affine = N, np.diag([*SPACING, 1.0])
    calibration = Calibration(
        promised=Promise(0.1),
        unit_name="patient", n_channels=3, n_images=60, class_names=("background", "organ", "a<b"),
        classes={1: ClassCalibration(0.25, 30, 0.05, 0.07), 2: ClassCalibration(0.0, 28, 0.0, 0.0679)},
        provenance=ScoreRecord(steps=(RecordedStep("walk", {"k": 20}),)),
    )  # fmt: skip

    @staticmethod
    def name(i: int) -> str:
        return f"case_{i:02d}"

    @staticmethod
    def label(i: int) -> np.ndarray:
        label = np.zeros(SHAPE, np.uint8)
        label[4:12, 3:10, 1:4] = 1
        label[14:17, 4:8, 2:5] = 2
        return label

    @staticmethod
    def found(i: int) -> np.ndarray:
        """Misses more and more of the organ, and holds the whole image for the other class; ``[x, y, z, C]``."""
        found = np.zeros((*SHAPE, 3), np.uint8)
        found[4 + i % 5 : 13, 2:10, 1:4, 1] = 1
        found[..., 2] = 1
        return found

    @staticmethod
    def inner(i: int) -> np.ndarray:
        inner = np.zeros((*SHAPE, 3), np.uint8)
        inner[9:11, 4:8, 1:4, 1] = 1
        return inner

    @classmethod
    def image(cls, i: int) -> np.ndarray:
        return (cls.label(i) * 100.0 + np.random.default_rng(i).normal(0, 5, SHAPE)).astype(np.float32)

    @classmethod
    def write(cls, folder: Path) -> list[str]:
        """Write the folders, and give the arguments of the command but for ``--out``."""
        cls.calibration.save(folder / "c.json")
        for kind in ("label", "found", "inner", "image"):
            (folder / kind).mkdir()
            for i in range(N):
                values = getattr(cls, kind)(i)
                nibabel.save(nibabel.Nifti1Image(values, cls.affine), folder / kind / f"{cls.name(i)}.nii.gz")
        names = (cls.name(i) for i in range(N))
        (folder / "units.csv").write_text("\n".join(["case,unit", *(f"{name},{name}" for name in names)]))
        paths = {"--labels": "label", "--images": "image", "--calibration": "c.json", "--units": "units.csv"}
        return ["report", str(folder / "found"), *(x for k, v in paths.items() for x in (k, str(folder / v)))]
