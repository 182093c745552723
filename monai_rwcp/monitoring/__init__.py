"""Whether what was promised is still true of the cases of a deployment."""

from monai_rwcp.utils.lazy_names import lazy_names

# The names and where they live are in __init__.pyi; each is loaded when it is asked for.
__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
