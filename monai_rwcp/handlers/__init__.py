"""The ignite and MONAI face of calibration, features, metrics, the report, and the watch over deployed cases."""

import lazy_loader

# The names and where they live are in __init__.pyi; each is loaded when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
