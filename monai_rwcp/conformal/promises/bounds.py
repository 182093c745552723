"""Upper confidence bounds of a mean of losses in [0, 1], as tests of whether the mean is below a level."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

__all__ = ["betting_is_below", "hoeffding_bentkus_allowance"]


def hoeffding_bentkus_allowance(n: int, alpha: Fraction, delta: float) -> Fraction:
    r"""Largest sum of ``n`` losses whose Hoeffding-Bentkus bound is below ``alpha``.

    .. math:: p(\hat R) = \min\big\{ e^{-n h(\hat R, \alpha)},\; e\, P(\mathrm{Bin}(n, \alpha) \le \lceil n \hat R
        \rceil) \big\} \le \delta, \qquad h(a, b) = a \log\tfrac{a}{b} + (1 - a) \log\tfrac{1 - a}{1 - b}

    Args:
        n: number of losses, at least 0.
        alpha: the level in (0, 1).
        delta: probability in (0, 1) with which the bound may fail.

    Returns:
        the largest sum that is allowed; negative when not even losses of 0 are enough.

    Source: arXiv 2101.02703, section 3.1.2 (Hoeffding-Bentkus).

    Example:
        >>> hoeffding_bentkus_allowance(28, Fraction(1, 10), 0.05) < 0
        True
        >>> hoeffding_bentkus_allowance(29, Fraction(1, 10), 0.05) >= 0
        True
    """
    if (1 - alpha) ** n > Fraction(delta):
        return Fraction(-1)
    # Bentkus, in whole numbers: the binomial probabilities times the denominator's power.
    p, q = alpha.numerator, alpha.denominator - alpha.numerator
    bound = Fraction(delta / math.e) * alpha.denominator**n
    term, total, whole = q**n, 0, -1
    while total + term <= bound:
        total += term
        whole += 1
        term = term * (n - whole) * p // ((whole + 1) * q)
    # Hoeffding: the exponent falls as the mean rises to alpha.
    low, high, level = 0.0, float(alpha), float(alpha)
    for _ in range(200):
        middle = (low + high) / 2
        entropy = (middle * math.log(middle / level) if middle else 0.0) + (1 - middle) * math.log(
            (1 - middle) / (1 - level)
        )
        low, high = (middle, high) if math.exp(-n * entropy) <= delta else (low, middle)
    # A little less, for the rounding of the logarithms.
    return max(Fraction(whole), Fraction(n * low * (1 - 1e-12)))


def betting_is_below(losses: np.ndarray, alpha: float, delta: float) -> np.ndarray:
    r"""Whether the betting bound of Waudby-Smith and Ramdas puts the mean of a sequence of losses below ``alpha``.

    .. math:: \max_i \prod_{j \le i} \big(1 - \nu_j (L_j - \alpha)\big) > 1 / \delta, \qquad
        \nu_j = \min\Big\{1, \sqrt{\tfrac{2 \log(1 / \delta)}{n \hat\sigma^2_{j-1}}}\Big\}

    Every bet :math:`\nu_j` looks at earlier losses only, so that the product is a supermartingale when the mean is
    ``alpha`` or more, and exceeds :math:`1 / \delta` at any time with a probability of at most ``delta``.

    Args:
        losses: float array of shape ``[n, ...]`` in [0, 1], in an order that was fixed without looking at them.
        alpha: the level in (0, 1).
        delta: probability in (0, 1) with which the bound may fail.

    Returns:
        bool array of shape ``[...]``.

    Source: arXiv 2101.02703, section 3.1.3; arXiv 2010.09686.

    Example:
        >>> betting_is_below(np.zeros((100, 1)), 0.1, 0.05), betting_is_below(np.full((100, 1), 0.1), 0.1, 0.05)
        (array([ True]), array([False]))
    """
    n, shape = len(losses), losses.shape[1:]
    total, squares, log_wealth = np.full(shape, 0.5), np.full(shape, 0.25), np.zeros(shape)
    largest = np.zeros(shape)
    for i, loss in enumerate(losses, start=1):
        bet = np.minimum(1.0, np.sqrt(2 * math.log(1 / delta) / (n * squares / i)))
        log_wealth += np.log1p(-bet * (loss - alpha))
        largest = np.maximum(largest, log_wealth)
        total += loss
        squares += (loss - total / (i + 1)) ** 2
    # A little more than 1 / delta, for the rounding of the logarithms.
    return np.asarray(largest > math.log(1 / delta) + 1e-9)
