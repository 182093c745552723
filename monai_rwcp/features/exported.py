"""Features from a network that was saved with `torch.export`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from monai_rwcp.features.geometry import checked_slice_axis, maps_of_image
from monai_rwcp.features.images import Intensity, check_image, checked_intensity, intensity_name, scale_intensity
from monai_rwcp.features.program_file import load_program

__all__ = ["ExportedFeatures"]


class ExportedFeatures:
    """Dense features of 2D images, or of volumes slice by slice, from a `torch.export` program.

    The program is loaded at the first call. Each image is scaled so that it just fits the program's input, and padded
    with zeros on the right and below; the cells of the padding are cut off again. Each scaled side is rounded to whole
    cells, so that the returned grid covers exactly the image.

    Args:
        path: a program saved by ``torch.export.save`` that takes ``[1, C, height, width]`` in [0, 1] and gives
            ``[1, F, *grid]``, where the height and the width are whole multiples of the grid's.
        intensity: how the image becomes [0, 1]: ``"none"`` (it is already; anything else is refused),
            ``"percentiles"`` (0.5th and 99.5th of the whole image or volume) or a window ``(low, high)`` such as HU.
        slice_axis: for volumes, the spatial axis that the slices are stacked along.
        trust: whether the file may run code of whoever made it. By default it is refused where it could: pickles that
            hold more than tensors, objects, compiled libraries, operators that are not torch's own.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when ``intensity`` or ``slice_axis`` is none of these.

    Example:
        >>> import tempfile, torch
        >>> path = f"{tempfile.mkdtemp()}/encoder.pt2"
        >>> encoder = torch.nn.Conv2d(3, 8, kernel_size=4, stride=4)
        >>> torch.export.save(torch.export.export(encoder, (torch.rand(1, 3, 32, 32),)), path)
        >>> ExportedFeatures(path)(torch.rand(1, 20, 40)).shape
        torch.Size([8, 4, 8])
    """

    def __init__(
        self,
        path: str | Path,
        *,
        intensity: Intensity = "none",
        slice_axis: int | None = None,
        trust: bool = False,
    ) -> None:
        self.path, self.trust = Path(path), trust
        self.intensity = checked_intensity(intensity)
        self.slice_axis = checked_slice_axis(slice_axis)
        if not self.path.is_file():
            raise FileNotFoundError(
                f"Expected a file of torch.export.save, but there is no exported program at '{self.path}'."
            )
        self._digest: str | None = None
        self._program: _Program | None = None

    def __repr__(self) -> str:
        return f"ExportedFeatures('{self.path}', intensity={self.intensity!r})"

    @property
    def name(self) -> str:
        """Class, intensity step, slice axis and hash of the file."""
        if self._digest is None:
            with self.path.open("rb") as file:
                self._digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
        slices = "" if self.slice_axis is None else f"slice_axis={self.slice_axis}, "
        return f"ExportedFeatures({intensity_name(self.intensity)}, {slices}sha256:{self._digest})"

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Compute the features of one image.

        Args:
            image: float tensor of shape ``[C, height, width]``, or of a volume with ``slice_axis``; one channel is
                repeated for a program that takes more.

        Returns:
            plain float32 tensor of shape ``[F, *grid]`` on the image's device; with ``slice_axis`` that axis keeps the
            volume's length.

        Raises:
            ValueError: when the image is not 2D (or no volume, with ``slice_axis``), not finite, constant, not in
                [0, 1] where it should be, or has other channels, or when the file is damaged, no program of the
                expected form, or could run code and is not trusted.
        """
        image = image.as_subclass(torch.Tensor)
        check_image(image, slice_axis=self.slice_axis)
        program = self._loaded()
        if image.shape[0] not in (1, program.channels):
            raise ValueError(
                f"Expected an image of 1 or {program.channels} channels, but got shape {tuple(image.shape)}. Choose "
                "the channels that the program was made for."
            )
        pixels = scale_intensity(image, self.intensity).cpu()
        # The program's batch size is fixed at 1.
        return maps_of_image(pixels, self.slice_axis, 1, program.maps).to(image.device)

    def __getstate__(self) -> dict[str, Any]:
        # The program is read again where the pickle is opened: it is large and may sit on another device.
        return {**self.__dict__, "_program": None}

    def _loaded(self) -> _Program:
        if self._program is None:
            self._program = _described(load_program(self.path, trust=self.trust), self.path)
        return self._program


@dataclass(frozen=True)
class _Program:
    module: torch.nn.Module
    channels: int
    size: tuple[int, int]
    stride: tuple[int, int]

    def maps(self, batch: torch.Tensor) -> torch.Tensor:
        """Features ``[1, F, *cells]`` of an image ``[1, C, height, width]``."""
        batch = batch.expand(-1, self.channels, -1, -1)
        shape = batch.shape[2:]
        scale = min(room / n for room, n in zip(self.size, shape, strict=True))
        cells = [max(1, round(n * scale / step)) for n, step in zip(shape, self.stride, strict=True)]
        height, width = (n * step for n, step in zip(cells, self.stride, strict=True))
        scaled = F.interpolate(batch, (height, width), mode="bilinear", align_corners=False, antialias=True)
        padded = F.pad(scaled, (0, self.size[1] - width, 0, self.size[0] - height))
        return self.module(padded)[:, :, : cells[0], : cells[1]].float().contiguous()


def _described(program: torch.export.ExportedProgram, path: Path) -> _Program:
    """Read the number of channels, the size and the stride from the program itself."""
    inputs = set(program.graph_signature.user_inputs)
    shapes = [
        tuple(node.meta["val"].shape)
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in inputs and isinstance(node.meta.get("val"), torch.Tensor)
    ]
    fixed = [shape for shape in shapes if all(isinstance(n, int) for n in shape)]
    if len(shapes) != 1 or len(fixed) != 1 or len(fixed[0]) != 4 or fixed[0][0] != 1:
        raise ValueError(
            f"Expected '{path}' to be a program of one input of fixed shape [1, channels, height, width], but its "
            f"inputs are {shapes}. Export it with such an example input."
        )
    _, channels, height, width = fixed[0]
    module = program.module()
    try:
        output = module(torch.zeros(fixed[0]))
    except Exception as error:  # whatever a program can cause
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"'{path}' cannot be run on an image of zeros, {list(fixed[0])}: {reason[:200]}") from error
    grid = tuple(output.shape[2:]) if isinstance(output, torch.Tensor) and output.ndim == 4 else (0, 0)
    if 0 in grid or height % grid[0] or width % grid[1]:
        got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise ValueError(
            f"Expected '{path}' to give a map [1, features, height / stride, width / stride] with whole strides for an "
            f"input of {height} x {width}, but it gave {got}. Export the part of the network that gives such a map."
        )
    return _Program(module, channels, (height, width), (height // grid[0], width // grid[1]))
