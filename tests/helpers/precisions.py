"""Precisions of matrix products that a user may have chosen, as the torch at hand calls them."""

from __future__ import annotations

from monai_rwcp.utils.older_versions import PRODUCTS_IN_FULL

# On GPU and on CPU; before torch 2.9 in one word for both.
TF32, BF16 = (("tf32", "tf32"), ("tf32", "bf16")) if len(PRODUCTS_IN_FULL) == 2 else (("high",), ("medium",))
