"""The patients of the bundle in `tutorials/`: one data list, made once, with each patient in one section only."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

from monai_rwcp.demo.phantoms import CLASS_NAMES, write_cohort
from monai_rwcp.utils.files import written_whole
from monai_rwcp.utils.json_documents import read_json

__all__ = ["SECTIONS", "write_datalist"]

SECTIONS = ("train", "calibrate", "test")

_HIPPOCAMPUS_NAMES = ("background", "anterior", "posterior")


def write_datalist(
    path: str | Path, dataset_dir: str | Path, *, n_train: int, n_calibrate: int, n_test: int, seed: int = 0
) -> str:
    """Share out the patients of a folder, or of phantoms where there is no such folder, and write who is where.

    A list that was made before with the same arguments is kept as it is.

    Args:
        path: where the list goes (JSON in the form of MONAI's `load_decathlon_datalist`, with the sections "train",
            "calibrate" and "test", and the properties "labels" and "spacing"); its folder is made, and phantoms are
            written beside it.
        dataset_dir: folder of the Medical Segmentation Decathlon's Task04, with ``images/hippocampus_*.nii.gz`` and
            ``labels``. Where there is none, phantom patients are made, and a warning is logged.
        n_train: patients to train on.
        n_calibrate: patients to calibrate on.
        n_test: patients to test on.
        seed: seed of the draw, or of the phantoms. Defaults to 0.

    Returns:
        ``path``.

    Raises:
        ValueError: when the folder has too few patients, or a list that was made another way is there already.

    Example:
        >>> import tempfile
        >>> from monai.data import load_decathlon_datalist
        >>> path = tempfile.mkdtemp() + "/datalist.json"
        >>> written = write_datalist(path, "no/such/folder", n_train=1, n_calibrate=2, n_test=1)
        >>> [case["patient"] for case in load_decathlon_datalist(written, True, "calibrate")]
        ['patient001', 'patient002']
    """
    path, folder = Path(path), Path(dataset_dir)
    counts = dict(zip(SECTIONS, (n_train, n_calibrate, n_test), strict=True))
    if min(counts.values()) < 1:
        raise ValueError(f"Expected at least one patient to train, calibrate and test on each, but got {counts}.")
    source = str(folder.resolve()) if folder.is_dir() else "phantoms"
    made = {"dataset_dir": source, "seed": seed, **{f"n_{name}": count for name, count in counts.items()}}
    if path.exists():
        _check_made_alike(path, made)
        return str(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if source == "phantoms":
        logging.getLogger(__name__).warning("There is no folder '%s': phantom patients are made instead.", dataset_dir)
        # Relative to the list, as MONAI's data lists have them, so that the folder can be moved.
        cases = [
            {key: value if key == "patient" else f"phantoms/{Path(value).name}" for key, value in case.items()}
            for case in write_cohort(path.parent / "phantoms", sum(counts.values()), seed)
        ]
        names, spacing = CLASS_NAMES, [1.5, 1.5, 4.0]
    else:
        cases, names, spacing = _hippocampus(folder, sum(counts.values()), seed), _HIPPOCAMPUS_NAMES, [1.0, 1.0, 1.0]
    drawn = iter(cases)
    document = {
        "made": made,
        "labels": {str(number): name for number, name in enumerate(names)},
        "spacing": spacing,
        **{name: [next(drawn) for _ in range(count)] for name, count in counts.items()},
    }
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return str(path)


def _check_made_alike(path: Path, made: dict[str, Any]) -> None:
    found = read_json(path, "data list", "The demo makes one").get("made")
    if found != made:
        raise ValueError(
            f"Expected the data list '{path}' to be made with {made}, but it was made with {found}. Give another "
            "output folder, or delete this one: patients do not change sides under a calibration."
        )


def _hippocampus(folder: Path, count: int, seed: int) -> list[dict[str, str]]:
    """As many subjects as are needed, in random order; each has one image."""
    images = sorted((folder / "images").glob("hippocampus_*.nii.gz"))
    if len(images) < count:
        raise ValueError(
            f"Expected {count} files images/hippocampus_*.nii.gz in '{folder}', but found {len(images)}. Ask for fewer "
            "patients, or name the folder of the Medical Segmentation Decathlon's Task04."
        )
    random.Random(seed).shuffle(images)
    cases = []
    for image in images[:count]:
        label = folder / "labels" / image.name
        if not label.is_file():
            raise ValueError(f"Expected a label '{label}' for '{image}', but there is none.")
        cases.append(
            {
                "image": str(image.resolve()),
                "label": str(label.resolve()),
                "patient": image.name.removesuffix(".nii.gz"),
            }
        )
    return cases
