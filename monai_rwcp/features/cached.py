"""Another source's features, kept on disk."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from monai_rwcp.features.protocol import FeatureExtractor, check_extractor
from monai_rwcp.utils.files import written_whole
from monai_rwcp.utils.json_documents import parsed_json
from monai_rwcp.utils.packages import needed

__all__ = ["CachedFeatures"]

_OWN_FILE = re.compile(r"[0-9a-f]{64}\.safetensors")


class CachedFeatures:
    """Another extractor's features, computed once for each image and kept in a directory.

    A file is found again by a hash of the image's values, shape and dtype and of the extractor's ``name``, its whole
    configuration: any change of either is a miss. What is read is checked against a hash of its own; a truncated,
    altered or foreign file is a miss with a warning, and is replaced. Several processes may share the directory.

    Args:
        extractor: where features come from.
        directory: where they are kept; it is made if need be.
        dtype: ``"float32"``, or ``"float16"`` for files half the size. Then the first call gives rounded features, too,
            so that every run gives the same bits, and ``name`` says so.
        max_gigabytes: how large the files of the directory may grow together, in 10^9 bytes; those not used for the
            longest time go first. None sets no limit.

    Raises:
        ImportError: when `safetensors` is missing.
        NotADirectoryError: when ``directory`` is a file.
        PermissionError: when it cannot be written.
        TypeError: when the extractor cannot be called or has no ``name``.
        ValueError: when ``dtype`` or ``max_gigabytes`` is out of range.

    Example:
        >>> import tempfile, torch
        >>> from monai_rwcp import MINDFeatures
        >>> extractor = CachedFeatures(MINDFeatures(), tempfile.mkdtemp())
        >>> image = torch.rand(1, 16, 16)
        >>> torch.equal(extractor(image), extractor(image))
        True
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        directory: str | Path,
        *,
        dtype: Literal["float32", "float16"] = "float32",
        max_gigabytes: float | None = None,
    ) -> None:
        _safetensors()
        check_extractor(extractor)
        if dtype not in ("float32", "float16"):
            raise ValueError(f'Expected `dtype` to be "float32" or "float16", but got {dtype!r}.')
        if max_gigabytes is not None and not 0 < max_gigabytes < float("inf"):
            raise ValueError(f"Expected `max_gigabytes` to be a positive number or None, but got {max_gigabytes!r}.")
        self.extractor, self.directory = extractor, Path(directory)
        self.dtype, self.max_gigabytes = dtype, max_gigabytes
        self._warned = False
        if self.directory.exists() and not self.directory.is_dir():
            raise NotADirectoryError(f"Cannot keep features in '{directory}': it is a file. Name a directory.")
        self.directory.mkdir(parents=True, exist_ok=True)
        if not os.access(self.directory, os.W_OK):
            raise PermissionError(f"Cannot keep features in '{directory}': no permission to write there.")

    def __repr__(self) -> str:
        return f"CachedFeatures({self.extractor!r}, '{self.directory}', dtype={self.dtype!r})"

    @property
    def name(self) -> str:
        """The extractor's name; with ``"float16"``, it says so."""
        return self._named(self.extractor.name)

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Read the features of one image, or compute and keep them.

        Args:
            image: what the extractor takes, ``[C, *spatial]``.

        Returns:
            plain float32 tensor of shape ``[F, *grid]`` on the image's device.

        Raises:
            ValueError: when the extractor's features are not a finite float tensor, or do not fit into float16.
        """
        image = image.as_subclass(torch.Tensor)
        name = self._named(self.extractor.name)
        key = hashlib.sha256(json.dumps([name, str(image.dtype), list(image.shape)]).encode())
        key.update(_bytes(image).data)
        path = self.directory / f"{key.hexdigest()}.safetensors"
        features = self._read(path)
        if features is None:
            features = self._checked(self.extractor(image)).cpu()
            self._keep(path, features, name)
        return features.to(device=image.device, dtype=torch.float32)

    def _named(self, name: str) -> str:
        return name if self.dtype == "float32" else f"{name} in float16"

    def _checked(self, features: Any) -> torch.Tensor:
        if not isinstance(features, torch.Tensor) or not features.is_floating_point():
            got = features.dtype if isinstance(features, torch.Tensor) else type(features).__name__
            raise ValueError(f"Expected the extractor to give a float tensor, but got {got}.")
        features = features.as_subclass(torch.Tensor).float()
        if not torch.isfinite(features).all():
            raise ValueError("Expected finite features, but some are NaN or infinite; they are not kept.")
        rounded = features.to(getattr(torch, self.dtype))
        if not torch.isfinite(rounded).all():
            raise ValueError(
                f"Expected features within the range of float16, but they reach {float(features.abs().max()):.4g}. "
                'Use dtype="float32".'
            )
        return rounded.contiguous()

    def _read(self, path: Path) -> torch.Tensor | None:
        """The features of a file, or None when it is not there or is not what was written."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            features = _safetensors().load(content)["features"]
            header = parsed_json(content[8 : 8 + int.from_bytes(content[:8], "little")].decode())
            made = header["__metadata__"]
            intact = made == _metadata(path.stem, made["name"], features)
        except Exception:  # whatever a damaged file can cause is a miss
            intact = False
        if not intact or str(features.dtype) != f"torch.{self.dtype}":
            warnings.warn(
                f"'{path}' is damaged or not of this cache. Its features are computed anew and replace it.",
                stacklevel=3,
            )
            return None
        with suppress(OSError):  # another process may have removed it, or it is another user's
            os.utime(path)
        return features

    def _keep(self, path: Path, features: torch.Tensor, name: str) -> None:
        content = _safetensors().save({"features": features}, _metadata(path.stem, name, features))
        limit = None if self.max_gigabytes is None else int(self.max_gigabytes * 1e9)
        if limit is not None and len(content) > limit:
            self._warn_once(f"features of {len(content)} bytes are larger than max_gigabytes={self.max_gigabytes}.")
            return
        try:
            if limit is not None:
                self._make_room(limit - len(content))
            with written_whole(path) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._warn_once("the disk is full. Free some space, or set max_gigabytes.")

    def _warn_once(self, reason: str) -> None:
        if not self._warned:
            warnings.warn(f"Features are computed but not kept in '{self.directory}': {reason}", stacklevel=5)
        self._warned = True

    def _make_room(self, limit: int) -> None:
        """Remove the files that were not used for the longest time until the rest fits."""
        files = sorted(self._files(), reverse=True)
        total = 0
        for _, size, path in files:
            total += size
            if total > limit:
                path.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        for path in self.directory.iterdir():
            if _OWN_FILE.fullmatch(path.name):
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue  # another process removed it
                yield status.st_mtime_ns, status.st_size, path


def _metadata(key: str, name: str, features: torch.Tensor) -> dict[str, str]:
    """What a file says of itself; the hash covers the name, the dtype, the shape and the values."""
    digest = hashlib.sha256(json.dumps([name, str(features.dtype), list(features.shape)]).encode())
    digest.update(_bytes(features).data)
    return {"key": key, "name": name, "sha256": digest.hexdigest()}


def _bytes(values: torch.Tensor) -> np.ndarray:
    array: np.ndarray = values.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return array


def _safetensors() -> Any:
    with needed("CachedFeatures needs", "cache", "safetensors"):
        import safetensors.torch
    return safetensors.torch
