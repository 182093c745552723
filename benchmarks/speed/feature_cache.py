"""How much the second run over cached features costs beside the first, and that both give the same bits."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
import torch
from tqdm import tqdm

from benchmarks.data.acdc import LoadSlice, patients, slice_items
from monai_rwcp import CachedFeatures, ExportedFeatures


@click.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--encoder", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
@click.option("--images", default=50, help="How many slices.")
def main(data: Path, encoder: Path, images: int) -> None:
    """Compute the features of ACDC slices twice, the second time in a new process' place: a new extractor and cache."""
    items = slice_items(data, patients(data), 2)[:images]
    load = LoadSlice()
    slices = [load(item)["image"] for item in tqdm(items, desc="load")]
    for dtype in ("float32", "float16"):
        with tempfile.TemporaryDirectory() as folder:
            seconds, runs = [], []
            for name in ("first", "second"):
                cached = CachedFeatures(ExportedFeatures(encoder), folder, dtype=dtype)
                start = time.perf_counter()
                runs.append([cached(image) for image in tqdm(slices, desc=f"{dtype}, {name} run")])
                seconds.append(time.perf_counter() - start)
            equal = sum(torch.equal(one, other) for one, other in zip(*runs, strict=True))
            size = sum(path.stat().st_size for path in Path(folder).iterdir())
        click.echo(
            f"{dtype}: first {seconds[0]:.2f} s, second {seconds[1]:.2f} s, ratio 1 : {seconds[0] / seconds[1]:.0f}; "
            f"{equal} of {len(slices)} bit-equal; {size / 1e6:.0f} MB"
        )


if __name__ == "__main__":
    main()
