"""Features without a network: the modality independent neighbourhood descriptor, MIND-SSC."""

from __future__ import annotations

from itertools import combinations

import torch
import torch.nn.functional as F

from monai_rwcp.features.images import check_image
from monai_rwcp.utils.arguments import check_integer

__all__ = ["MINDFeatures"]


class MINDFeatures:
    r"""The self-similarity context of every voxel, in 2D and 3D; a baseline for when there is no network to hand.

    For each pair of neighbours :math:`a, b` of a voxel, one step along two different axes (4 pairs in 2D, 12 in 3D),

    .. math:: f_{ab} = \exp\!\left(-\frac{D_{ab} - \min D}{V}\right), \qquad
              D_{ab} = \text{mean over a box of } (I_a - I_b)^2,

    with :math:`V` the mean of :math:`D - \min D` over the pairs, kept within 0.001 and 1000 times its mean over the
    image. It describes the local shape of edges, whatever the contrast; it knows no anatomy, and is no substitute for
    the features of a network.

    Args:
        radius: half width of the box, in voxels; the box is ``2 * radius + 1`` wide.
        dilation: distance from a voxel to its neighbours, in voxels.

    Raises:
        ValueError: when ``radius`` is negative or ``dilation`` not positive.

    Source: Heinrich et al., "Towards Realtime Multimodal Fusion for Image-Guided Interventions Using
    Self-Similarities", MICCAI 2013, section 2.1.

    Example:
        >>> import torch
        >>> MINDFeatures()(torch.rand(1, 20, 24)).shape, MINDFeatures()(torch.rand(1, 9, 8, 7)).shape
        (torch.Size([4, 20, 24]), torch.Size([12, 9, 8, 7]))
    """

    def __init__(self, radius: int = 2, dilation: int = 2) -> None:
        check_integer("radius", radius, 0)
        check_integer("dilation", dilation, 1)
        self.radius, self.dilation = radius, dilation

    def __repr__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """Class, radius and dilation."""
        return f"MINDFeatures(radius={self.radius}, dilation={self.dilation})"

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Compute the descriptor of one image.

        Args:
            image: float tensor of shape ``[1, *spatial]``, 2D or 3D; its unit does not matter.

        Returns:
            plain float32 tensor of shape ``[F, *spatial]`` in [0, 1] on the image's device; ``F`` is 4 in 2D and 12
            in 3D.

        Raises:
            ValueError: when the image has several channels, is constant or not finite, or radius and dilation reach
                far beyond it.
        """
        image = image.as_subclass(torch.Tensor)
        check_image(image, volumes=True)
        if image.shape[0] != 1:
            raise ValueError(
                f"Expected an image of one channel, but got shape {tuple(image.shape)}. Choose one of them."
            )
        reach = self.radius + self.dilation
        if reach > 4 * max(image.shape):
            raise ValueError(
                f"A radius and dilation of {reach!r:.20} voxels together reach far beyond an image of shape "
                f"{tuple(image.shape)}. Use smaller ones."
            )
        # A common scale and shift change nothing in the result, and keep squares in range.
        values = image.double()
        values = ((values - values.mean()) / (values.max() - values.min())).to(
            torch.promote_types(image.dtype, torch.float)
        )
        shifted = self._neighbours(values[None])
        # Neighbours on one axis lie opposite each other; all other pairs are one step along two axes apart.
        pairs = [(a, b) for a, b in combinations(range(len(shifted)), 2) if a // 2 != b // 2]
        distances = values.new_empty((len(pairs), *image.shape[1:]))
        for n, (a, b) in enumerate(pairs):
            distances[n] = self._box_mean((shifted[a] - shifted[b]).square_())[0, 0]
        distances -= distances.amin(dim=0)
        variance = distances.mean(dim=0)
        mean = variance.mean()
        # Where all neighbourhoods of the image are alike there is nothing to divide by, and nothing to tell apart.
        variance = variance.clamp(0.001 * mean, 1000 * mean).clamp_(min=torch.finfo(variance.dtype).tiny)
        return distances.div_(variance).neg_().exp_().float()

    def _neighbours(self, values: torch.Tensor) -> list[torch.Tensor]:
        """The image seen from each neighbour, two for each axis; beyond the edge the last values go on."""
        rank = values.ndim - 2
        padded = _padded(values, self.dilation)
        views = []
        for axis in range(rank):
            for start in (0, 2 * self.dilation):
                view = padded
                for other in range(rank):
                    offset = start if other == axis else self.dilation
                    view = view.narrow(other + 2, offset, values.shape[other + 2])
                views.append(view)
        return views

    def _box_mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean over the box around each voxel, axis by axis; beyond the edge the last values go on."""
        pool = F.avg_pool2d if values.ndim == 4 else F.avg_pool3d
        for axis in range(values.ndim - 2):
            width = [1] * (values.ndim - 2)
            width[axis] = 2 * self.radius + 1
            values = pool(_padded(values, self.radius, axis), width, stride=1)
        return values


def _padded(values: torch.Tensor, width: int, axis: int | None = None) -> torch.Tensor:
    rank = values.ndim - 2
    sizes = [width if axis is None or axis == a else 0 for a in reversed(range(rank))]
    return F.pad(values, [size for size in sizes for _ in range(2)], mode="replicate")
