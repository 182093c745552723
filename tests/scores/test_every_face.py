"""A score is the same, and recorded the same, whichever face makes it: transforms, folders, `check` and `tune`."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer

from monai_rwcp import DenseFeaturesd, NetworkFeatures, RandomWalkDiffusiond, TunedScored, TunedSettings, recommended
from monai_rwcp.deployment import NOT_KNOWN
from monai_rwcp.deployment.parts import DeployedParts
from monai_rwcp.deployment.planned import planned_record
from monai_rwcp.folders import match_folders
from monai_rwcp.folders.scores import score_chain, score_item
from monai_rwcp.provenance import ScoreRecord, record_of
from monai_rwcp.provenance.score_maps import features_record
from monai_rwcp.scores import BlurredScore, PlainScore, Score, WalkedScore, make_together
from monai_rwcp.tune.cases import CaseKeys, ScoredCase
from monai_rwcp.walk import WalkSettings

OF_FILES = ScoreRecord(maps={"form": "channels-last"})
AFFINE = np.diag([1.5, 1.5, 3.0, 1.0])
KINDS: dict[str, Score] = {
    "plain": PlainScore(),
    "plain, levelled": PlainScore(size_exponent=0.25),
    "blur": BlurredScore(1.5),
    "blur, levelled": BlurredScore(1.5, keep_sure=2.0, size_exponent=0.5, size_reference=0.2),
    "blur, keep_peak": BlurredScore(0.5, keep_peak=True),
    "walk": WalkedScore(WalkSettings(k=5, n_steps=3, restart=0.2, center=True, spatial_weight=2.0, grid=4)),
    "walk, keep_peak": WalkedScore(WalkSettings(k=3, beta=5.0, n_steps=2, grid=(4, 4, 1), keep_peak=True)),
    "walk, all last steps": WalkedScore(
        WalkSettings(k=3, n_steps=2, keep_peak=True, keep_sure=4.0, size_exponent=0.25)
    ),
}


@pytest.fixture(scope="module")
def extractor() -> NetworkFeatures:
    torch.manual_seed(0)
    return NetworkFeatures(torch.nn.Sequential(torch.nn.Conv3d(1, 4, 2, stride=2)), "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One case: a map as the commands read it, its image and its label."""
    generator = torch.Generator().manual_seed(1)
    values = torch.softmax(2 * torch.randn(2, 16, 12, 6, generator=generator), dim=0)
    for name, data in (
        ("maps", values.movedim(0, -1)),
        ("images", torch.rand(16, 12, 6, generator=generator)),
        ("labels", (values[1] > 0.5).to(torch.uint8)),
    ):
        (tmp_path / name).mkdir()
        nibabel.save(nibabel.Nifti1Image(data.numpy(), AFFINE), tmp_path / name / "anna.nii.gz")
    return tmp_path


def loaded(folder: Path, chain: Any = ()) -> dict[Hashable, Any]:
    (case,) = match_folders(folder / "maps", endings=(".nii.gz",), images=folder / "images", labels=folder / "labels")
    return score_item(case, "channels-last", chain, set(), OF_FILES)


def saved(score: Score, folder: Path) -> str:
    path = folder / f"{score.kind}.json"
    TunedSettings(score, ("ben",), "patient", 0.1, "stretch", "it was best").save(path)
    return str(path)


@pytest.mark.parametrize("name", KINDS)
def test_one_score_and_one_record_at_every_face(name: str, folder: Path, extractor: NetworkFeatures) -> None:
    score = KINDS[name]
    item = DenseFeaturesd("image", extractor)(loaded(folder))
    known = features_record(extractor.name)
    spacing = [1.5, 1.5, 3.0]
    expected = score.make(item["pred"].as_tensor(), item["features"].as_tensor(), spacing=spacing)
    record = score.record(OF_FILES, side="original", spacing=spacing, features=known)

    tuned = TunedScored("pred", saved(score, folder), output_keys="score")(item)
    assert torch.equal(tuned["score"].as_tensor(), expected)
    assert record_of(tuned, "score") == record

    if isinstance(score, WalkedScore):
        walked = RandomWalkDiffusiond("pred", **score.walk, output_keys="score")(item)
        assert torch.equal(walked["score"].as_tensor(), expected)
        assert record_of(walked, "score") == record

    of_folder = loaded(folder, score_chain(saved(score, folder), extractor))
    assert torch.equal(of_folder["pred"].as_tensor(), expected)
    assert record_of(of_folder, "pred") == record

    # What `check` foretells without a run: all but the side, the voxel size and its unit, which it cannot know here.
    chain = (DenseFeaturesd("image", extractor), TunedScored("pred", saved(score, folder)))
    planned = planned_record(DeployedParts(None, SimpleInferer(), (), chain, ()), "pred", 3)
    unknown = {"size_unit": NOT_KNOWN} if score.last_steps.size_exponent else {}
    assert [(s.kind, s.settings, s.features) for s in planned.steps] == [
        (s.kind, {**s.settings, **unknown}, s.features) for s in record.steps
    ]

    ((way, made),) = make_together(
        item["pred"].as_tensor(), [score], {"features": item["features"].as_tensor()}, spacing=spacing
    )
    assert way == score
    assert torch.equal(made, expected)
    keys = CaseKeys("pred", "label", None, {"features": "features"}, "index")
    assert [torch.equal(m, expected) for _, m in ScoredCase.of(item, 0, [score], keys, set()).scores] == [True]


def test_named_scores_of_folders_are_the_walks_of_these_settings(folder: Path, extractor: NetworkFeatures) -> None:
    item = DenseFeaturesd("image", extractor)(loaded(folder))
    walked = RandomWalkDiffusiond("pred", **recommended())(item)
    of_folder = loaded(folder, score_chain("recommended", extractor))
    assert torch.equal(of_folder["pred"].as_tensor(), walked["pred"].as_tensor())
    assert record_of(of_folder, "pred") == record_of(walked, "pred")
    plain = loaded(folder, score_chain("plain", None))
    assert torch.equal(plain["pred"].as_tensor(), item["pred"].as_tensor())
    assert record_of(plain, "pred") == OF_FILES


@pytest.mark.parametrize(("first", "second"), [("blur", "walk"), ("walk", "blur"), ("blur", "blur, keep_peak")])
def test_one_step_after_another_is_foretold_as_it_is_written(
    first: str, second: str, folder: Path, extractor: NetworkFeatures
) -> None:
    item = DenseFeaturesd("image", extractor)(loaded(folder))
    paths = []
    for number, name in enumerate((first, second)):
        (folder / str(number)).mkdir()
        paths.append(saved(KINDS[name], folder / str(number)))
    chain = [TunedScored("pred", path) for path in paths]
    for step in chain:
        item = step(item)
    written = record_of(item, "pred")
    parts = DeployedParts(None, SimpleInferer(), (), (DenseFeaturesd("image", extractor), *chain), ())
    planned = planned_record(parts, "pred", 3)
    assert [step.kind for step in written.steps] == [KINDS[first].kind, KINDS[second].kind]
    assert [(s.kind, s.settings, s.features) for s in planned.steps] == [
        (s.kind, s.settings, s.features) for s in written.steps
    ]


def test_a_made_score_shares_no_memory_with_its_map() -> None:
    item = {"pred": MetaTensor(torch.rand(2, 8, 8))}
    settings = TunedSettings(PlainScore(), ("ben",), "patient", 0.1, "stretch", "it was best")
    made = TunedScored("pred", settings, output_keys="score")(item)
    made["score"].zero_()
    assert float(item["pred"].sum()) > 0
