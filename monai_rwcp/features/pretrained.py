"""Loading a network with `transformers`, and reading from it where its outputs lie in an image."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from monai_rwcp.features.tokens import MapLayout, find_layout
from monai_rwcp.provenance.weights import weights_hash
from monai_rwcp.utils.older_versions import float32_weights
from monai_rwcp.utils.packages import needed

__all__ = ["PretrainedNetwork"]


class PretrainedNetwork:
    """A frozen network of `transformers.AutoModel`, and the layout of the layers that are asked of it.

    Args:
        name_or_path: a local folder or a hub id.
        layers: -1 for the last hidden state after the final normalisation, or numbers of blocks from 1.

    Raises:
        ImportError: when `transformers` is missing or older than the network.
        OSError: when the network cannot be had.
        ValueError: when its weights are not complete, or it has no such layer or no dense map.
    """

    def __init__(self, name_or_path: str, layers: Sequence[int]) -> None:
        self.module = _loaded(name_or_path)
        config: Any = self.module.config
        self.kind = str(config.model_type)
        self.hash = weights_hash(self.module)
        self.n_channels = int(getattr(config, "num_channels", 3) or 3)
        self.layers = tuple(layers)
        # The positions of some transformers are interpolated only when asked.
        self._options = {
            option: True
            for option in ("interpolate_pos_encoding",)
            if option in inspect.signature(self.module.forward).parameters
        }
        self.layouts, self.multiple = self._layouts(name_or_path)

    @torch.no_grad()
    def outputs(self, batch: torch.Tensor) -> list[torch.Tensor]:
        """What each layer gives, maps or tokens, for images ``[B, C, height, width]`` as the network expects them."""
        hidden = any(layer != -1 for layer in self.layers)
        result = self.module(pixel_values=batch, output_hidden_states=hidden, return_dict=True, **self._options)
        last: torch.Tensor = result.last_hidden_state
        if not hidden:
            return [last] * len(self.layers)
        states = result.hidden_states
        n_layers = len(states) - 1
        unknown = [layer for layer in self.layers if layer > n_layers]
        if unknown:
            raise ValueError(
                f"Expected `layers` to be -1 or numbers from 1 to {n_layers}, the blocks of this {self.kind}, but got "
                f"{unknown}."
            )
        return [last if layer == -1 else states[layer] for layer in self.layers]

    def _layouts(self, name_or_path: str) -> tuple[list[MapLayout], int]:
        """The layout of each layer, and what an image's sides must be multiples of, tried on one square of noise."""
        config: Any = self.module.config
        patch = getattr(config, "patch_size", None)
        patch = patch if isinstance(patch, int) else 1
        size = 16 * patch if patch > 1 else 256
        n_registers = int(getattr(config, "num_register_tokens", 0) or 0)
        square = torch.linspace(-1, 1, size).expand(1, self.n_channels, size, size)
        try:
            outputs = self.outputs(square.contiguous())
        except (RuntimeError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(
                f"Expected '{name_or_path}' ({self.kind}) to give dense features of an image, but it failed on one of "
                f"{size} x {size}: {error}"
            ) from error
        found = [find_layout(output, size, patch, n_registers) for output in outputs]
        layouts = [layout for layout in found if layout is not None]
        if len(layouts) < len(found):
            shapes = [tuple(output.shape) for output in outputs]
            raise ValueError(
                f"Expected '{name_or_path}' ({self.kind}) to give a dense map for layers {self.layers}, but "
                f"for an image of {size} x {size} its outputs have shapes {shapes}. Choose another layer, or a network "
                "such as DINOv2."
            )
        return layouts, max(layout.stride for layout in layouts)


def _loaded(name_or_path: str) -> torch.nn.Module:
    with needed("FoundationFeatures needs", "foundation", "transformers"):
        import transformers
    try:
        # A checkpoint in half precision would otherwise stay so; code that lies beside it is never run.
        module, report = transformers.AutoModel.from_pretrained(
            name_or_path, **float32_weights(), output_loading_info=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        if "does not recognize this architecture" in str(error):
            raise ImportError(
                f"transformers {transformers.__version__} does not know the network in '{name_or_path}'. A newer "
                f"release may: pip install --upgrade transformers. {error}"
            ) from error
        raise _explained(name_or_path, error) from error
    if getattr(module, "main_input_name", None) != "pixel_values":
        raise ValueError(
            f"Expected '{name_or_path}' to be a network of images, but {type(module).__name__} takes "
            f"'{getattr(module, 'main_input_name', None)}'. Of a network of images and text, save the part that takes "
            "images to a folder of its own."
        )
    # What only summarises the image after the last layer plays no part in dense features.
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler"))
    if missing:
        raise ValueError(
            f"Expected '{name_or_path}' to hold all weights of {type(module).__name__}, but {len(missing)} are "
            f"missing, {missing[0]} among them: they would be random. Save the whole model with save_pretrained."
        )
    return module.eval().requires_grad_(False)


def _explained(name_or_path: str, error: Exception) -> Exception:
    """An error that says how to get the network and where to put its files."""
    by_hand = (
        "On a machine without network: load it once elsewhere, "
        "AutoModel.from_pretrained(...).save_pretrained(folder), copy the folder here with its "
        "preprocessor_config.json, and give its path."
    )
    if Path(name_or_path).is_dir():
        return OSError(
            f"Expected the folder '{name_or_path}' to hold config.json and model.safetensors as save_pretrained writes "
            f"them, but it cannot be loaded: {error}"
        )
    text = str(error).lower()
    if "gated" in text or "401" in text or "403" in text:
        return PermissionError(
            f"'{name_or_path}' is gated: its makers must grant you access (for DINOv3, accept the licence on the "
            f"model's page of the hub), then log in with `hf auth login`. {by_hand}"
        )
    return FileNotFoundError(
        f"There is no folder '{name_or_path}', and no such model could be had from the hub or its cache: {error} "
        f"{by_hand}"
    )
