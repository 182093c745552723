"""What a segmentation object takes over from the images that it refers to: whole, or refused with a word."""

from __future__ import annotations

import warnings
from typing import Any

from monai_rwcp.dicom.headers import file_of, has_value, number, numbers, shown, text
from monai_rwcp.dicom.series import Series
from monai_rwcp.utils.packages import needed

with needed("DICOM needs", "dicom", "pydicom", "highdicom"):
    from pydicom.datadict import dictionary_VR, keyword_for_tag
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_data_element
    from pydicom.sequence import Sequence
    from pydicom.valuerep import DSfloat

__all__ = ["TAKEN_AS_IT_IS", "source_headers"]

TAKEN_AS_IT_IS = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("AccessionNumber", "StudyID", "StudyDate", "StudyTime"),
)
"""What names patient and study: the object has it as the images do, also where it is empty or not well formed."""

_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_PLACE = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
# Patient, study and equipment; pixels, overlays and what makers add for themselves lie elsewhere.
_LAST_GROUP = 0x0040


def source_headers(series: Series) -> tuple[list[Any], dict[str, Any]]:
    """Give what an object needs of the images that it refers to.

    Args:
        series: the images.

    Returns:
        a data set of each image, without pixels, in which all that is needed is there and well formed; and the elements
        that the object is to have as the first image has them, see `TAKEN_AS_IT_IS`.

    Raises:
        ValueError: when an image has no UID to be referred to by; the message names the file.
    """
    apart = float(series.volume.affine[:3, 2].norm())
    headers = [_referred(dataset, apart) for dataset in series.slices]
    for header in headers:
        # Rounded in another way from slice to slice, they are one: see `check_one_series`.
        header.ImageOrientationPatient, header.PixelSpacing = (
            headers[0].ImageOrientationPatient,
            headers[0].PixelSpacing,
        )
    first = Dataset()
    left_out: list[str] = []
    for element in _readable(series.slices[0], left_out):
        if element.keyword not in headers[0]:
            first.add(element)
    if left_out:
        shown = ", ".join(left_out[:3]) + (", ..." if len(left_out) > 3 else "")
        warnings.warn(
            f"{len(left_out)} attributes of '{file_of(series.slices[0])}' are damaged and are not taken over into the "
            f"segmentation object: {shown}.",
            stacklevel=4,
        )
    kept = {name: first[name] for name in TAKEN_AS_IT_IS if name in first}
    for name in kept:
        del first[name]
    for name in TAKEN_AS_IT_IS:
        setattr(first, name, "")
    first.update(headers[0])
    return [first, *headers[1:]], kept


def _referred(dataset: Any, apart: float) -> Any:
    header = Dataset()
    for name in _UIDS:
        uid = text(dataset, name)
        if not uid or not set(uid) <= set("0123456789.") or len(uid) > 64:
            raise ValueError(
                f"Expected {name} of '{file_of(dataset)}' to be a UID, but got {shown(uid)}: a segmentation object "
                "cannot refer to it. De-identify images so that their UIDs are replaced, not removed."
            )
        setattr(header, name, uid)
    if not header.SOPClassUID.keyword:
        raise ValueError(
            f"SOPClassUID of '{file_of(dataset)}' is {header.SOPClassUID}, no kind of image that DICOM knows: a "
            "segmentation object cannot refer to it."
        )
    for name, n in _PLACE.items():
        setattr(header, name, [DSfloat(size, auto_format=True) for size in numbers(dataset, name, n)])
    thickness = number(dataset, "SliceThickness") if has_value(dataset, "SliceThickness") else 0.0
    header.SliceThickness = DSfloat(thickness if thickness > 0 else apart, auto_format=True)
    for name in ("Rows", "Columns"):
        setattr(header, name, int(number(dataset, name)))
    header.Modality = text(dataset, "Modality") or "OT"
    return header


def _readable(dataset: Any, left_out: list[str]) -> list[Any]:
    """The elements that can be read and written again, with the text of all items decoded."""
    found = []
    for tag in sorted(dataset.keys()):
        if tag.is_private or tag.group > _LAST_GROUP or tag == 0x00080005:
            continue
        try:
            element = dataset[tag]
            if element.VR not in dictionary_VR(tag).split(" or "):
                raise ValueError(f"{element.VR} is of another kind.")
            if element.VR == "SQ":
                items = Sequence()
                for item in element.value:
                    copied = Dataset()
                    for part in _readable(item, left_out):
                        copied.add(part)
                    items.append(copied)
                element = DataElement(tag, "SQ", items)
            else:
                _write_for_a_try(element)
        except Exception:  # whatever a damaged element can cause in pydicom
            left_out.append(keyword_for_tag(tag) or str(tag))
            continue
        found.append(element)
    return found


def _write_for_a_try(element: Any) -> None:
    scratch = DicomBytesIO()
    scratch.is_little_endian, scratch.is_implicit_VR = True, False
    write_data_element(scratch, element, ["utf8"])
