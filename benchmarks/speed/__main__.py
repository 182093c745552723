"""How long the graph, the walk, the calibration and the whole chain take, beside other libraries and the floor."""

from __future__ import annotations

import csv
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import click
import torch
from tqdm import tqdm

from benchmarks.common.timing import Row, copy_rate, machine, matrix_rate
from benchmarks.data.acdc import first_slice
from benchmarks.speed.calibration import calibration_rows
from benchmarks.speed.chain import slice_chain_rows, volume_chain_rows
from benchmarks.speed.graph import graph_rows, warm_up
from benchmarks.speed.picture import save_picture
from benchmarks.speed.walk import walk_rows
from monai_rwcp import ExportedFeatures

_PARTS = ("graph", "walk", "calibration", "chain")


@click.command(context_settings={"show_default": True})
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the results.")
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), help="ACDC, for real features.")
@click.option("--encoder", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="LiteMedSAM's encoder.")
@click.option("--weights", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="An ACDC network.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu")
@click.option("--part", "parts", type=click.Choice(_PARTS), multiple=True, default=_PARTS, help="Measure only this.")
def main(
    out: Path, data: Path | None, encoder: Path | None, weights: Path | None, device: str, parts: Sequence[str]
) -> None:
    """Measure everything and write speed.csv, speed.md and speed.png.

    Without --data and --encoder features are random. On cuda all but calibration is measured.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise click.UsageError("--device cuda needs a GPU that torch can use, but there is none.")
    if device == "cuda" and set(parts) == {"calibration"}:
        raise click.UsageError("Calibration is measured on the CPU: leave --device cuda out, or name another --part.")
    out.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    rates = matrix_rate(device), copy_rate(device)
    cells = None
    if data is not None and encoder is not None:
        cells = ExportedFeatures(encoder)(first_slice(data)["image"])
    rows: list[Row] = []
    with tqdm(unit="row") as bar, torch.no_grad():
        if "graph" in parts:
            if device == "cpu":
                bar.set_description("pynndescent compiles")
                warm_up()
            _collect(rows, graph_rows(cells, device, rates[0], bar.set_description), bar)
        if "walk" in parts:
            _collect(rows, walk_rows(cells, device, rates[1], bar.set_description), bar)
        if "calibration" in parts and device == "cpu":
            _collect(rows, calibration_rows(bar.set_description), bar)
        if "chain" in parts:
            if data is not None and encoder is not None and weights is not None:
                _collect(rows, slice_chain_rows(data, encoder, weights, device, bar.set_description), bar)
            _collect(rows, volume_chain_rows(device, bar.set_description), bar)
    minutes = (time.perf_counter() - began) / 60
    command = shlex.join(["python", "-m", "benchmarks.speed", *sys.argv[1:]])
    about = (
        f"`{command}`, {minutes:.1f} minutes.\n\n{machine(device)} Measured rates: {rates[0] / 1e9:.0f} GFLOP/s "
        f"(float32 product), {rates[1] / 1e9:.0f} GB/s (copy, read and written).\n"
    )
    name = "speed" if device == "cpu" else "speed_cuda"
    (out / f"{name}.md").write_text(_tables(rows, device, about))
    with (out / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    save_picture(rows, out / f"{name}.png")
    click.echo((out / f"{name}.md").read_text())


def _collect(rows: list[Row], source: Iterable[Row], bar: tqdm) -> None:
    for row in source:
        rows.append(row)
        bar.update()


def _tables(rows: Sequence[Row], device: str, about: str) -> str:
    lines = [f"# Every row, on a {'CPU' if device == 'cpu' else 'GPU'}", "", about]
    for part in _PARTS:
        of_part = [row for row in rows if row.part == part]
        if not of_part:
            continue
        first = "ratio to the network" if part == "chain" else "ratio to ours"
        head = ["case", "size", "method", "seconds", first, "floor (s)", "peak (MiB)", "note"]
        lines += [f"## {part.capitalize()}", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for row in of_part:
            cells = [
                row.case,
                f"{row.size:,}",
                row.method,
                f"{row.seconds:.4g}",
                "" if row.ratio is None else f"{row.ratio:.2f}",
                "" if row.floor is None else f"{row.floor:.3g}",
                "" if row.peak_mib is None else f"{row.peak_mib:.0f}",
                row.note,
            ]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
