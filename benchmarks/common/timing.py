"""Timings side by side, peak memory in a process of its own, and what the machine can do at best."""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import os
import platform
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil
import torch

PACKAGES = ("torch", "torch-geometric", "numpy", "scipy", "monai", "faiss-cpu", "scikit-learn", "pynndescent", "mapie")


@dataclass(frozen=True)
class Row:
    """One measured cell of the tables.

    Args:
        part: "graph", "walk", "calibration" or "chain".
        case: what was computed, for people.
        size: number of nodes or voxels, the horizontal axis of the picture.
        method: whose way of computing it.
        seconds: median of the repeats.
        ratio: seconds of this method over those of ours, at the same case.
        floor: seconds the machine needs at least, where that is known.
        peak_mib: resident memory above the start, read by psutil, or memory of the GPU; None where it was not read.
        note: what else was seen.
    """

    part: str
    case: str
    size: int
    method: str
    seconds: float
    ratio: float | None = None
    floor: float | None = None
    peak_mib: float | None = None
    note: str = ""


def interleaved(methods: Mapping[str, tuple[Callable[[], Any], int]], device: str = "cpu") -> dict[str, float]:
    """Median seconds of each method over its number of repeats; the repeats take turns, after one unmeasured call.

    A method with one repeat is called once only, so that what takes minutes does not take twice as long.
    """
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    for function, repeats in methods.values():
        if repeats > 1:
            function()
    for turn in range(max(repeats for _, repeats in methods.values())):
        for name, (function, repeats) in methods.items():
            if turn < repeats:
                seconds[name].append(timed(function, device))
    return {name: statistics.median(values) for name, values in seconds.items()}


def timed(function: Callable[[], Any], device: str = "cpu") -> float:
    """Seconds of one call, to the end of what it started on the device."""
    start = time.perf_counter()
    function()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def rows_of(
    part: str,
    case: str,
    size: int,
    seconds: Mapping[str, float],
    floor: float | None = None,
    peaks: Mapping[str, float] | None = None,
    notes: Mapping[str, str] | None = None,
) -> list[Row]:
    """Rows of one case; the first method is ours."""
    ours = next(iter(seconds.values()))
    peaks, notes = peaks or {}, notes or {}
    return [
        Row(part, case, size, name, s, s / ours, floor, peaks.get(name), notes.get(name, ""))
        for name, s in seconds.items()
    ]


def peak_memory(prepare: Callable[..., Callable[[], Any]], *arguments: Any) -> float:
    """Resident memory in MiB that a call adds at most, in a fresh process.

    ``prepare(*arguments)`` is called there first and returns the call that is watched; what it holds does not count.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_watch, args=(sender, prepare, arguments, torch.get_num_threads()))
    process.start()
    sender.close()
    try:
        return float(receiver.recv())
    finally:
        process.join()


def gpu_peak_memory(function: Callable[[], Any]) -> float:
    """Memory of the GPU in MiB that a call adds at most."""
    torch.cuda.reset_peak_memory_stats()
    start = torch.cuda.memory_allocated()
    function()
    return (torch.cuda.max_memory_allocated() - start) / 2**20


def _watch(sender: Any, prepare: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...], threads: int) -> None:
    torch.set_num_threads(threads)
    call = prepare(*arguments)
    process = psutil.Process()
    start = process.memory_info().rss
    peak, running = start, True

    def sample() -> None:
        nonlocal peak
        while running:
            peak = max(peak, process.memory_info().rss)
            time.sleep(0.001)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    call()
    running = False
    thread.join()
    sender.send((peak - start) / 2**20)


def matrix_rate(device: str = "cpu") -> float:
    """Floating point operations a second of a large float32 matrix product."""
    n, inner = (3072, 1024) if device == "cpu" else (16384, 4096)
    one, other = torch.randn(n, inner, device=device), torch.randn(inner, n, device=device)
    result = torch.empty(n, n, device=device)
    seconds = interleaved({"product": (lambda: torch.mm(one, other, out=result), 9)}, device)["product"]
    return 2 * n * n * inner / seconds


def copy_rate(device: str = "cpu") -> float:
    """Bytes a second, read and written, of a copy too large for any cache."""
    source = torch.empty(2**28 // 4, device=device)
    target = torch.empty_like(source)
    seconds = interleaved({"copy": (lambda: target.copy_(source), 9)}, device)["copy"]
    return 2 * source.numel() * source.element_size() / seconds


def machine(device: str) -> str:
    """The processor, the device and the versions, in one paragraph."""
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    chip = f"; device {torch.cuda.get_device_name()}" if device == "cuda" else ""
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{platform.machine()} ({torch.backends.cpu.get_cpu_capability()}), {os.cpu_count()} cores, {memory:.0f} GiB"
        f"{chip}; Python {platform.python_version()}, {versions}; torch runs {torch.get_num_threads()} threads."
    )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
