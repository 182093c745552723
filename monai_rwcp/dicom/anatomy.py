"""What a segment shows, as a code, and which kind of thing the code stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from monai_rwcp.utils.packages import needed

with needed("DICOM needs", "dicom", "pydicom", "highdicom"):
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code


__all__ = ["Anatomy", "category_of"]


@dataclass(frozen=True)
class Anatomy:
    """What a segment shows, as a code.

    Where the code stands in one of DICOM's lists of property types, it gets the category of the list. A neoplasm,
    tumour or other lesion is a morphologically abnormal structure, also when only its meaning says so (in English). All
    else is an anatomical structure.

    Args:
        value: the code, such as ``"87878005"``.
        scheme: its coding scheme, such as ``"SCT"`` (SNOMED CT).
        meaning: in words, such as ``"Left ventricle"``.
    """

    value: str
    scheme: str
    meaning: str


# Context groups of DICOM PS3.16 that hold the property types of one category. Vessels stand among the anatomy, too.
_LISTS = {
    "cid7192": "AnatomicalStructure",
    "cid7194": "MorphologicallyAbnormalStructure",
    "cid7193": "PhysicalObject",
    "cid7197": "BodySubstance",
    "cid7198": "Substance",
    "cid7191": "Tissue",
    "cid7195": "Function",
    "cid7196": "SpatialAndRelationalConcept",
}

_ABNORMAL = re.compile(
    r"\b(neoplas\w*|tumou?rs?|cancers?|malignan\w*|metasta\w*|lesions?|nodules?|cysts?|polyps?|abscess\w*|o?edema|infarct\w*"
    r"|necro\w*|ha?emorrhag\w*|thromb\w*|embol\w*|aneurysms?|stenos\w*|plaques?|fractures?|inflammat\w*"
    r"|effusions?|hyperintens\w*|opacit(?:y|ies)|consolidations?|calcifi\w*|calculus|calculi|stones?|ulcers?|pneumothora\w*"
    r"|ischa?emi\w*|atelecta\w*|emphysema\w*|fibrosis|gliosis|scars?|contusions?|hernias?"
    r"|(?!stroma)\w{3,}oma(s|ta)?)\b",
    re.IGNORECASE,
)


def category_of(anatomy: Anatomy) -> Any:
    """Give the code of the category that a segment's code belongs to.

    Example:
        >>> category_of(Anatomy("108369006", "SCT", "Neoplasm")).meaning
        'Morphologically Abnormal Structure'
        >>> category_of(Anatomy("10200004", "SCT", "Liver")).meaning
        'Anatomical Structure'
    """
    own = Code(anatomy.value, anatomy.scheme, anatomy.meaning)
    for name, category in _LISTS.items():
        if own in getattr(codes, name).concepts.values():
            return codes.cid7150.concepts[category]
    words = "MorphologicallyAbnormalStructure" if _ABNORMAL.search(anatomy.meaning) else "AnatomicalStructure"
    return codes.cid7150.concepts[words]
