"""Prediction sets with a statistical promise for MONAI segmentation networks, that also look like anatomy."""

import sys

from monai_rwcp.utils.packages import check_dependencies

check_dependencies()

from monai_rwcp.utils.lazy_names import lazy_names, load_public_names  # noqa: E402 (needs lazy-loader)

# The names and where they live are in __init__.pyi; each is loaded when it is asked for.
__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)

if "monai" in sys.modules:
    # MONAI's bundle parser finds short names only in modules that are loaded.
    load_public_names()
