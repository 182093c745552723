"""How much more often a case like this is met in another population: weights for weighted conformal risk control."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np

from monai_rwcp.utils.json_documents import DocumentKind, write_json
from monai_rwcp.utils.packages import needed

__all__ = ["DensityRatio", "fit_density_ratio"]


class _Content(TypedDict):
    means: list[float]
    scales: list[float]
    coefficients: list[float]
    intercept: float


_DOCUMENT = DocumentKind(
    "density ratio",
    "monai_rwcp.density_ratio",
    version=1,
    first_step="Save one with DensityRatio.save",
    anew="fit_density_ratio",
    content=_Content,
)


@dataclass(frozen=True)
class DensityRatio:
    r"""Density of a target population over that of a source, as a logistic function of a case's features.

    .. math:: w(x) = \frac{n_{source}}{n_{target}} \exp\Big(b + \sum_f a_f \frac{x_f - m_f}{s_f}\Big)

    A case is what is exchangeable: a patient, not an image, where a patient has several. Its features are then the mean
    over its images, in the fit as in use; weights of images say too little of how often their patients are met.

    Args:
        means: :math:`m`, one number a feature.
        scales: :math:`s`, above 0.
        coefficients: :math:`a`.
        intercept: :math:`b`, with the logarithm of :math:`n_{source} / n_{target}` added.

    Example:
        >>> DensityRatio(means=(0.0,), scales=(1.0,), coefficients=(2.0,), intercept=0.0).weight([0.0])
        1.0
    """

    means: tuple[float, ...]
    scales: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float

    def __post_init__(self) -> None:
        lengths = {len(self.means), len(self.scales), len(self.coefficients)}
        values = (*self.means, *self.scales, *self.coefficients, self.intercept)
        if len(lengths) != 1 or not all(math.isfinite(v) for v in values) or not all(s > 0 for s in self.scales):
            raise ValueError(
                "Expected as many means, scales above 0 and coefficients, all finite, but got "
                f"{len(self.means)}, {len(self.scales)} and {len(self.coefficients)} of them."
            )

    def weight(self, features: Sequence[float] | np.ndarray) -> float:
        """Weight of one case.

        Args:
            features: its features, ``[F]``, the same ones in the same order as were fitted.

        Returns:
            the weight, above 0.

        Raises:
            ValueError: when there are more or fewer features, or one is not finite.
        """
        values = np.asarray(features, dtype=np.float64)
        if values.shape != (len(self.means),) or not np.isfinite(values).all():
            raise ValueError(
                f"Expected {len(self.means)} finite features, as fitted, but got an array of shape {values.shape}"
                f"{'' if np.isfinite(values).all() else ' with NaN or infinite values'}."
            )
        standard = (values - np.array(self.means)) / np.array(self.scales)
        return math.exp(self.intercept + float(standard @ np.array(self.coefficients)))

    def save(self, path: str | Path) -> None:
        """Write the ratio as JSON; the file appears whole or not at all.

        Raises:
            OSError: when the folder does not exist or cannot be written; an old file is then still there.
        """
        write_json(_DOCUMENT.signed(asdict(self)), path)

    @classmethod
    def load(cls, path: str | Path) -> DensityRatio:
        """Read a ratio and make sure that it is whole.

        Raises:
            FileNotFoundError: when there is no file.
            ValueError: when it is something else, of another version, damaged, or edited after it was written.
        """
        document = _DOCUMENT.read(path)
        with _DOCUMENT.contents_of(path):
            vectors = {name: tuple(float(v) for v in document[name]) for name in ("means", "scales", "coefficients")}
            return cls(**vectors, intercept=float(document["intercept"]))


def fit_density_ratio(source: np.ndarray, target: np.ndarray) -> DensityRatio:
    r"""Learn, by logistic regression, to tell the cases of two populations apart.

    .. math:: \frac{p_{target}(x)}{p_{source}(x)} = \frac{n_{source}}{n_{target}}
        \frac{P(target \mid x)}{P(source \mid x)}

    Features are standardised, and the strength of the penalty is chosen by cross-validation. No labels are needed.
    Weights that were learned on the calibration cases themselves depend on them, and the promise then holds only as far
    as that does not matter: take other cases of the source.

    Args:
        source: features of cases like the calibration's, float ``[n, F]``, one row for each exchangeable unit (the
            patient), such as the mean of its dense features over its images; a few well-chosen features do better than
            hundreds.
        target: the same of cases like the deployed ones, float ``[m, F]``.

    Returns:
        the ratio.

    Raises:
        ValueError: when there are fewer than 10 cases of one, or the features do not fit.
        ImportError: when scikit-learn is missing.

    Source: Bickel, Brueckner, Scheffer 2009 (discriminative learning under covariate shift); arXiv 1904.06019, section
    2.3.

    Example:
        >>> random = np.random.default_rng(0)
        >>> ratio = fit_density_ratio(random.normal(0, 1, (200, 1)), random.normal(1, 1, (200, 1)))
        >>> ratio.weight([-1.0]) < 0.5 < 1.5 < ratio.weight([2.0])
        True
    """
    with needed("Learning a density ratio needs", "shift", "scikit-learn"):
        from sklearn.linear_model import LogisticRegressionCV
    one, other = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1] or one.shape[1] == 0:
        raise ValueError(
            f"Expected `source` [n, F] and `target` [m, F] with the same features, but got shapes {one.shape} and "
            f"{other.shape}."
        )
    if min(len(one), len(other)) < 10:
        raise ValueError(f"Expected at least 10 cases of each population, but got {len(one)} and {len(other)}.")
    both = np.concatenate([one, other])
    if not np.isfinite(both).all():
        raise ValueError("Expected finite features, but some are NaN or infinite.")
    means, scales = both.mean(axis=0), both.std(axis=0)
    # A feature that never changes says nothing; any scale will do.
    scales = np.where(scales > 0, scales, 1.0)
    belongs = np.repeat([0, 1], [len(one), len(other)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = LogisticRegressionCV(Cs=np.logspace(-4, 2, 13).tolist(), cv=5, scoring="neg_log_loss", max_iter=2000)
        model.fit((both - means) / scales, belongs)
    return DensityRatio(
        tuple(means.tolist()),
        tuple(scales.tolist()),
        tuple(np.ravel(model.coef_).tolist()),
        float(np.ravel(model.intercept_)[0]) + math.log(len(one) / len(other)),
    )
