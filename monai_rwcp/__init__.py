"""Prediction sets with a statistical promise for MONAI segmentation networks, that also look like anatomy."""

import sys

import lazy_loader

# The names and where they live are in __init__.pyi; each is loaded when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

if "monai" in sys.modules:
    # MONAI's bundle parser finds short names only in modules that are loaded.
    for _name in __all__:
        __getattr__(_name)
