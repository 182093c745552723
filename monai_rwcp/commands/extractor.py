"""From what is written on the command line to a source of features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_rwcp.commands.untrusted import check_runs_no_code
from monai_rwcp.features.exported import ExportedFeatures
from monai_rwcp.features.foundation import FoundationFeatures
from monai_rwcp.features.images import Intensity, checked_intensity
from monai_rwcp.features.mind import MINDFeatures
from monai_rwcp.features.protocol import FeatureExtractor, check_extractor
from monai_rwcp.utils.json_documents import read_json
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


def chosen_extractor(choice: str, intensity: str | None, *, trust: bool = False) -> FeatureExtractor:
    """The source of features that a choice names.

    Args:
        choice: ``mind``; a ``.pt2`` file for `ExportedFeatures`; a ``.json`` file of MONAI's configuration syntax whose
            entry ``extractor`` is one; or a folder or hub id for `FoundationFeatures`.
        intensity: ``none``, ``percentiles`` or ``LOW,HIGH``; None leaves the source's own.
        trust: whether a file may run code of whoever made it.

    Raises:
        FileNotFoundError: when there is no such .json file.
        ValueError: when the choice or the intensity is none of these, the file does not tell of a source or could run
            code and is not trusted, or an intensity is given where the source has its own or needs none.

    Example:
        >>> chosen_extractor("mind", None).name
        'MINDFeatures(radius=2, dilation=2)'
    """
    if choice == "mind" or choice.endswith(".json"):
        if intensity is not None:
            raise ValueError(f"'{choice}' takes no --intensity: mind needs none, and a .json file has its own.")
        return MINDFeatures() if choice == "mind" else _configured(choice, trust)
    options: dict[str, Any] = {} if intensity is None else {"intensity": parsed_intensity(intensity)}
    if choice.endswith(".pt2"):
        return ExportedFeatures(choice, trust=trust, **options)
    if "/" not in choice and not Path(choice).exists():
        raise ValueError(
            "Expected mind, a .pt2 or .json file, a folder of a foundation network or its hub id such as "
            f"facebook/dinov2-small, but got '{choice}', and there is nothing of that name."
        )
    return FoundationFeatures(choice, **options)


def optional_extractor(choice: str | None, intensity: str | None, *, trust: bool) -> FeatureExtractor | None:
    """The source of features that a choice names, None where none is chosen.

    Args:
        choice: as of :py:func:`chosen_extractor`, or None.
        intensity: as there.
        trust: as there.

    Raises:
        FileNotFoundError: as there.
        ValueError: as there, and when an intensity or trust is given alone.
    """
    if choice is not None:
        return chosen_extractor(choice, intensity, trust=trust)
    for option, given in (("--intensity", intensity is not None), ("--trust", trust)):
        if given:
            raise ValueError(f"{option} belongs to an --extractor, but none is given.")
    return None


def _configured(path: str, trust: bool) -> FeatureExtractor:
    document = read_json(path, "file", "Write one with an entry 'extractor'")
    if not isinstance(document, dict) or document.get("extractor") is None:
        raise ValueError(f"Expected '{path}' to have an entry 'extractor', such as a NetworkFeatures with its network.")
    if not trust:
        check_runs_no_code(document, path)
    load_public_names()
    # MONAI is imported late: it takes seconds.
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(document)
    try:
        extractor: FeatureExtractor = parser.get_parsed_content("extractor")
        check_extractor(extractor)
    except RuntimeError as error:
        # MONAI says which entry it was at; what the entry complained about is the cause of that.
        raise ValueError(f"The 'extractor' of '{path}' cannot be made: {error.__cause__ or error}") from error
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"The 'extractor' of '{path}' cannot be made: {error}") from error
    return extractor
