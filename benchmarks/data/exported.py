"""Real data as files, the way other programs leave them, to run the commands of `monai-rwcp` on."""

from __future__ import annotations

import csv
import json
import pickle
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import nibabel
import numpy as np
import torch
from monai.transforms import Activationsd, Compose, Invertd
from tqdm import tqdm

from benchmarks.common.evaluation import probabilities_of
from benchmarks.common.splitter import Splitter
from benchmarks.data.acdc import LoadSlice, load_network, slice_items, unseen_patients
from benchmarks.data.hippocampus import preprocessing, subjects, train

__all__ = ["main"]

_OUT = click.Path(file_okay=False, path_type=Path)
_DATA = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def main() -> None:
    """Write files for `monai-rwcp tune`, or for `monai-rwcp calibrate`, `predict`, `evaluate` and `report`."""


@main.command(context_settings={"show_default": True})
@click.option("--data", type=_DATA, required=True, help="Folder of the ACDC data.")
@click.option("--weights", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--slices", default=2, help="Of each volume, spread evenly.")
@click.option("--out", type=_OUT, required=True)
def acdc(data: Path, weights: Path, slices: int, out: Path) -> None:
    """The tuning patients of the study's first split, with the names of the others: a data list for `tune`."""
    network, read = load_network(weights), LoadSlice()
    items = slice_items(data, unseen_patients(data, weights), slices)
    tune, calibrate, test = Splitter(tuple(sorted({item["patient"] for item in items})), 0).split(0)
    out.mkdir(parents=True)
    listed: dict[str, list[dict[str, str]]] = {
        "tuning": [],
        "calibration": [{"patient": name} for name in calibrate],
        "test": [{"patient": name} for name in test],
    }
    for item in tqdm([item for item in items if item["patient"] in tune], desc="export"):
        case: dict[Any, Any] = read(dict(item))
        maps = {"image": case["image"], "label": case["label"], "pred": probabilities_of(network, case["image"])}
        for key, values in maps.items():
            # Channels last, as MONAI saves a slice.
            array = values.numpy().transpose(1, 2, 0)[:, :, None, :]
            nibabel.save(nibabel.Nifti1Image(array.astype(np.float32), np.eye(4)), out / _file(item["case"], key))
        listed["tuning"].append({key: _file(item["case"], key) for key in maps} | {"patient": item["patient"]})
    (out / "datalist.json").write_text(json.dumps(listed, indent=1), encoding="utf-8")
    click.echo(f"{out / 'datalist.json'}: {len(listed['tuning'])} slices of {len(tune)} patients")


@main.command(context_settings={"show_default": True})
@click.option("--data", type=_DATA, required=True, help="Folder of the hippocampus data.")
@click.option("--train", "n_train", default=4, help="Subjects the network is trained on.")
@click.option("--epochs", default=60)
@click.option("--cases", default=60, help="Subjects to calibrate, and as many to test.")
@click.option("--out", type=_OUT, required=True)
def nnunet(data: Path, n_train: int, epochs: int, cases: int, out: Path) -> None:
    """Hippocampi in nnU-Net's layout: `.npz`, `.pkl` and segmentation of every case, with images and labels."""
    group = subjects(data)
    random.Random(0).shuffle(group)
    network, load = train(group[:n_train], epochs, 0), preprocessing(label_with_image=False)
    chain = Compose(
        [Activationsd("pred", softmax=True), Invertd("pred", load, orig_keys="image", nearest_interp=False)]
    )
    parts = {"calibrate": group[n_train : n_train + cases], "test": group[n_train + cases : n_train + 2 * cases]}
    for part, of_part in parts.items():
        for kind in ("maps", "labels", "images"):
            (out / part / kind).mkdir(parents=True)
        _write_units(out / f"{part}.csv", [subject["subject"] for subject in of_part])
        for subject in tqdm(of_part, desc=part):
            item: dict[Any, Any] = load(subject)
            with torch.no_grad():
                item["pred"] = network(item["image"][None])[0]
            found = chain(item)["pred"]
            shares, affine, name = found.as_tensor().numpy(), found.affine.numpy(), subject["subject"]
            maps = out / part / "maps"
            np.savez_compressed(maps / f"{name}.npz", probabilities=shares.transpose(0, 3, 2, 1))
            segmentation = nibabel.Nifti1Image(shares.argmax(0).astype(np.uint8), affine)
            nibabel.save(segmentation, maps / f"{name}.nii.gz")
            (maps / f"{name}.pkl").write_bytes(pickle.dumps({"spacing": nibabel.affines.voxel_sizes(affine)[::-1]}))
            for kind, ending in (("labels", ".nii.gz"), ("images", "_0000.nii.gz")):
                source = Path(subject["label" if kind == "labels" else "image"])
                (out / part / kind / f"{name}{ending}").write_bytes(source.read_bytes())
    click.echo(f"{out}: {', '.join(f'{len(of_part)} to {part}' for part, of_part in parts.items())}")


def _file(case: str, key: str) -> str:
    return f"{case}_{key}.nii.gz"


def _write_units(path: Path, names: Sequence[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("case", "unit"))
        writer.writerows((name, name) for name in names)


if __name__ == "__main__":
    main()
