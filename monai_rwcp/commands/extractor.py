"""From what is written on the command line to a source of features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_rwcp.features.exported import ExportedFeatures
from monai_rwcp.features.foundation import FoundationFeatures
from monai_rwcp.features.images import Intensity, checked_intensity
from monai_rwcp.features.mind import MINDFeatures
from monai_rwcp.features.protocol import FeatureExtractor
from monai_rwcp.utils.lazy_names import load_public_names

__all__ = ["chosen_extractor", "optional_extractor", "parsed_intensity"]


def parsed_intensity(text: str) -> Intensity:
    """An ``intensity`` argument from ``none``, ``percentiles`` or ``LOW,HIGH``.

    Raises:
        ValueError: when it is none of these.

    Example:
        >>> parsed_intensity("-160,240")
        (-160.0, 240.0)
    """
    try:
        return checked_intensity([float(part) for part in text.split(",")] if "," in text else text)
    except ValueError as error:
        raise ValueError(f"Expected none, percentiles or LOW,HIGH such as -160,240, but got '{text}'.") from error


def chosen_extractor(choice: str, intensity: str | None) -> FeatureExtractor:
    """The source of features that a choice names.

    Args:
        choice: ``mind``; a ``.pt2`` file for `ExportedFeatures`; a ``.json`` file of MONAI's configuration syntax whose
            entry ``extractor`` is one; or a folder or hub id for `FoundationFeatures`.
        intensity: ``none``, ``percentiles`` or ``LOW,HIGH``; None leaves the source's own.

    Raises:
        FileNotFoundError: when there is no such .json file.
        ValueError: when the choice or the intensity is none of these, the file does not tell of a source, or an
            intensity is given where the source has its own or needs none.

    Example:
        >>> chosen_extractor("mind", None).name
        'MINDFeatures(radius=2, dilation=2)'
    """
    if choice == "mind" or choice.endswith(".json"):
        if intensity is not None:
            raise ValueError(f"'{choice}' takes no intensity: mind needs none, and a .json file states its own.")
        return MINDFeatures() if choice == "mind" else _configured(choice)
    options: dict[str, Any] = {} if intensity is None else {"intensity": parsed_intensity(intensity)}
    if choice.endswith(".pt2"):
        return ExportedFeatures(choice, **options)
    if "/" not in choice and not Path(choice).exists():
        raise ValueError(
            "Expected mind, a .pt2 or .json file, a folder of a foundation network or its hub id such as "
            f"facebook/dinov2-small, but got '{choice}', and there is nothing of that name."
        )
    return FoundationFeatures(choice, **options)


def optional_extractor(choice: str | None, intensity: str | None) -> FeatureExtractor | None:
    """The source of features that a choice names, None where none is chosen.

    Args:
        choice: as of :py:func:`chosen_extractor`, or None.
        intensity: as there.

    Raises:
        FileNotFoundError: as there.
        ValueError: as there, and when an intensity is given alone.
    """
    if choice is not None:
        return chosen_extractor(choice, intensity)
    if intensity is not None:
        raise ValueError("--intensity belongs to an --extractor, but none is given.")
    return None


def _configured(path: str) -> FeatureExtractor:
    from monai.bundle import ConfigParser

    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file '{path}'.")
    load_public_names()
    parser = ConfigParser()
    try:
        parser.read_config(path)
    except ValueError as error:
        raise ValueError(f"'{path}' is no JSON file: {error}.") from error
    if parser.get("extractor") is None:
        raise ValueError(f"Expected '{path}' to have an entry 'extractor', such as a NetworkFeatures with its network.")
    try:
        extractor: FeatureExtractor = parser.get_parsed_content("extractor")
    except RuntimeError as error:
        # MONAI says which entry it was at; what the entry complained about is the cause of that.
        raise ValueError(f"The 'extractor' of '{path}' cannot be made: {error.__cause__ or error}") from error
    return extractor
