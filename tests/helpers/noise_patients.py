"""Patients made of noise, for the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.study.cases import CaseInfo, StudyCase, StudySet
from benchmarks.study.measure import StudyCandidate, by_patient, load_curves, measure, study_candidates
from monai_rwcp.scores import WalkedScore
from monai_rwcp.tune import SetCurves

ALPHA = 0.2


def noisy_case(label: torch.Tensor, n_classes: int, seed: int) -> StudyCase:
    """A map that half sees the label, features at half its size and an image, of noise."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.nn.functional.one_hot(label[0].long(), n_classes).permute(2, 0, 1) * 2.0
    logits = logits + 1.5 * torch.randn(logits.shape, generator=generator)
    features = torch.randn(4, *(n // 2 for n in label.shape[1:]), generator=generator)
    image = torch.rand(label.shape, generator=generator)
    return StudyCase(torch.softmax(logits, dim=0), label, image, {"own": features}, None)


def loaded(info: CaseInfo) -> StudyCase:
    label = torch.zeros(1, 16, 16)
    label[0, 3:9, 2:12], label[0, 10:14, 4:8] = 1, 2
    if int(info.name) % 5 == 0:
        label[label == 2] = 0
    return noisy_case(label, 3, int(info.name))


INFOS = tuple(CaseInfo(f"{i:03d}", f"patient {i // 2:02d}", i % 2) for i in range(60))
STUDY = StudySet("noise", ("background", "one", "two"), "px", INFOS, loaded, ("own",))


def few_candidates(*_: object) -> list[StudyCandidate]:
    """Few walks are enough here; the first two are the paper's and the recommended one, which the study looks up."""
    everyone = study_candidates(("own",), 2)
    walks = [c for c in everyone if isinstance(c, WalkedScore)]
    return [c for c in everyone if not isinstance(c, WalkedScore)] + walks[:2] + walks[2:160:40]


@dataclass(frozen=True)
class Measured:
    """What the first stage made of them: files, candidates, and counts by image and by patient."""

    folder: Path
    candidates: list[StudyCandidate]
    curves: Mapping[StudyCandidate, SetCurves]
    pooled: Mapping[StudyCandidate, SetCurves]


def measure_all(folder: Path) -> Measured:
    candidates = few_candidates()
    measure(STUDY, candidates, folder)
    curves = load_curves(STUDY, candidates, folder)
    return Measured(folder, candidates, curves, by_patient(STUDY, curves))
