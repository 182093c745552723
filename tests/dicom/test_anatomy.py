"""Which kind of thing a segment's code stands for."""

from __future__ import annotations

import pytest

pytest.importorskip("highdicom", reason="DICOM needs the extra dicom")

from monai_rwcp.dicom import Anatomy
from monai_rwcp.dicom.anatomy import category_of

ABNORMAL, ANATOMY = "49755003", "91723000"


@pytest.mark.parametrize(
    ("code", "category"),
    [
        (Anatomy("108369006", "SCT", "Neoplasm"), ABNORMAL),
        (Anatomy("108369006", "SCT", "腫瘍"), ABNORMAL),
        (Anatomy("52988006", "SCT", "Lesion"), ABNORMAL),
        (Anatomy("79654002", "SCT", "Edema"), ABNORMAL),
        (Anatomy("25370001", "SCT", "Hepatocellular carcinoma"), ABNORMAL),
        (Anatomy("1", "99LOCAL", "Kidney tumour"), ABNORMAL),
        (Anatomy("1", "99LOCAL", "Liver Metastases"), ABNORMAL),
        (Anatomy("1", "99LOCAL", "Glioblastoma"), ABNORMAL),
        (Anatomy("1", "99LOCAL", "Pleural effusion"), ABNORMAL),
        (Anatomy("1", "99LOCAL", "White matter hyperintensity"), ABNORMAL),
        (Anatomy("1", "99LOCAL", "Kidney stone"), ABNORMAL),
        (Anatomy("1", "99LOCAL", "Annulus fibrosus"), ANATOMY),
        (Anatomy("80891009", "SCT", "Heart"), ANATOMY),
        (Anatomy("10200004", "SCT", "Liver"), ANATOMY),
        (Anatomy("78961009", "SCT", "Spleen"), ANATOMY),
        (Anatomy("51114001", "SCT", "Artery"), ANATOMY),
        (Anatomy("1", "99LOCAL", "Stroma of ovary"), ANATOMY),
        (Anatomy("1", "99LOCAL", "Cystic duct"), ANATOMY),
        (Anatomy("55603005", "SCT", "Adipose tissue"), "85756007"),
        (Anatomy("65818007", "SCT", "Stent"), "260787004"),
        (Anatomy("78014005", "SCT", "Urine"), "91720002"),
    ],
)
def test_category(code: Anatomy, category: str) -> None:
    assert category_of(code).value == category
