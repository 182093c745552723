"""Tuning from items to a file, and the file in a chain."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.data import MetaTensor

from monai_rwcp import ConformalCalibrationHandler, RandomWalkDiffusiond, TunedScored, TunedSettings, tune_settings
from monai_rwcp.scores import BlurredScore, PlainScore, Score, WalkedScore
from monai_rwcp.tune import SetCurves, default_candidates, efficiency, set_curves, working_level
from monai_rwcp.tune.halving import first_units
from monai_rwcp.utils.json_documents import digest
from monai_rwcp.walk import WalkSettings
from tests.helpers.engines import run_bare


def cases(n: int = 12, seed: int = 0) -> list[dict[str, Any]]:
    """Noisy maps of a square, and features that know the square."""
    found = []
    for i in range(n):
        generator = torch.Generator().manual_seed(100 * seed + i)
        label = torch.zeros(1, 24, 24)
        x, y = torch.randint(2, 12, (2,), generator=generator).tolist()
        label[0, x : x + 9, y : y + 8] = 1
        logits = torch.stack([1 - label[0], label[0]]) * 2 + 2 * torch.randn(2, 24, 24, generator=generator)
        features = torch.cat([label, 1 - label, 0.1 * torch.randn(2, 24, 24, generator=generator)])
        item = {"pred": torch.softmax(logits, dim=0), "label": label, "features": features, "patient": f"p{i // 2}"}
        found.append(item)
    return found


def more_channels() -> dict[str, Any]:
    case = cases(1)[0]
    return {**case, "pred": torch.cat([case["pred"] / 2, case["pred"][:1] / 2]), "patient": "other"}


CANDIDATES: list[Score] = [
    PlainScore(),
    *(BlurredScore(sigma) for sigma in (0.5, 1.0, 2.0)),
    *(WalkedScore(WalkSettings(k=k, n_steps=n, grid="map")) for k in (3, 10) for n in (1, 5, 10)),
]


def settings(candidate: Score) -> TunedSettings:
    return TunedSettings(candidate, ("anna", "ben"), "patient", 0.1, "stretch", "it was best")


def test_features_that_know_the_organ_win_and_halving_finds_what_all_find(monkeypatch: pytest.MonkeyPatch) -> None:
    halved = tune_settings(cases(), candidates=CANDIDATES)
    assert halved.chosen.kind == "walk"
    assert halved.units == tuple(sorted(f"p{i}" for i in range(6))) or set(halved.units) == {f"p{i}" for i in range(6)}
    assert len(halved.results) < len(CANDIDATES)
    assert PlainScore() in [result.candidate for result in halved.results]
    monkeypatch.setattr("monai_rwcp.tune.tune.KEPT", 1)
    everything = tune_settings(cases(), candidates=CANDIDATES)
    assert len(everything.results) == len(CANDIDATES)
    assert everything.chosen == halved.chosen
    assert tune_settings(cases(), candidates=CANDIDATES) == everything


def test_noise_for_features_is_no_reason_to_walk() -> None:
    noise = [{**case, "features": torch.randn(4, 24, 24)} for case in cases()]
    assert tune_settings(noise, candidates=CANDIDATES).chosen.kind != "walk"


def test_defaults_and_sources_by_name() -> None:
    maps = {"pred": "pred", "label": "label", "features": "mine"}
    large = [
        {**c, **{new: c[old].repeat_interleave(2, 1).repeat_interleave(2, 2) for old, new in maps.items()}}
        for c in cases(6)
    ]
    found = tune_settings(large, feature_keys={"own": "mine"})
    assert all(r.candidate.source == "own" for r in found.results if isinstance(r.candidate, WalkedScore))
    assert len(found.results) < len(default_candidates())


def test_numbers_are_checked_before_any_case_is_measured() -> None:
    class Untouched(list):
        def __getitem__(self, number: Any) -> Any:
            raise AssertionError("a case was asked for")

    for change in ({"alpha": 0}, {"objective": "hd95"}, {"n_calibration": 8}, {"seed": -1}):
        with pytest.raises(ValueError, match=next(iter(change))):
            tune_settings(Untouched([None]), **change)  # type: ignore[arg-type]


def test_numbers_are_names_too() -> None:
    numbered = [{**case, "patient": i // 2} for i, case in enumerate(cases())]
    found = tune_settings(numbered, candidates=CANDIDATES[:3], keep_apart=[77])
    assert set(found.units) == {str(i) for i in range(6)}
    with pytest.raises(ValueError, match=r"\['3'\] \(1 in all\) are in both"):
        tune_settings(numbered, candidates=CANDIDATES[:3], keep_apart=[3])
    with pytest.raises(ValueError, match="tuning units"):
        TunedSettings.of(found, "patient").check_unseen([3], "calibration", "patient")
    with pytest.raises(TypeError, match="collection of names"):
        TunedSettings.of(found, "patient").check_unseen("3", "calibration", "patient")


def test_images_of_a_unit_are_added_up() -> None:
    found = tune_settings(cases(), candidates=CANDIDATES[:4])
    owner = {str(i): f"p{i // 2}" for i in range(12)}
    for result in found.results:
        curves = []
        for i, case in enumerate(cases()):
            made = (
                case["pred"]
                if result.candidate == PlainScore()
                else BlurredScore(result.candidate.sigma).make(case["pred"])
            )
            curves.append(set_curves(made, case["label"], unit=str(i)))
        assert result.value == pytest.approx(efficiency(SetCurves.join(curves).pooled(owner), 0.1)[0][0], rel=1e-12)


def test_candidates_are_compared_at_the_level_that_few_patients_work_at() -> None:
    few, level = tune_settings(cases(), candidates=CANDIDATES, n_calibration=12), working_level(0.1, 12)
    assert few.alpha == level == pytest.approx(0.025)
    alike = tune_settings(cases(), candidates=CANDIDATES, alpha=level)
    assert few.results == alike.results
    assert few.results != tune_settings(cases(), candidates=CANDIDATES).results


@pytest.mark.parametrize("in_order", [1, -1])
def test_a_class_that_the_first_units_do_not_show_drops_nobody(in_order: int) -> None:
    """Its ranks would be those of the order in which candidates were given."""
    shown = cases()
    first = first_units([f"p{i}" for i in range(6)], 0)
    late = [{**c, "label": c["label"] * (c["patient"] not in first)} for c in shown]
    blurs = [BlurredScore(sigma) for sigma in (8.0, 6.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.25)][::in_order]
    found = tune_settings(late, candidates=[PlainScore(), *blurs])
    assert len(found.results) == 9
    other = tune_settings(late, candidates=[PlainScore(), *blurs[::-1]])
    assert found.chosen == other.chosen


@pytest.mark.parametrize("objective", ["stretch", "hausdorff_distance_95"])
def test_a_class_that_nobody_shows_is_told(objective: Any) -> None:
    third = [{**c, "pred": torch.cat([c["pred"], 0 * c["pred"][:1]])} for c in cases(4)]
    found = tune_settings(third, candidates=[PlainScore(), BlurredScore(1.0)], objective=objective)
    assert found.why.endswith("No tuning unit shows class 2, which took no part.")
    assert all(result.thresholds.keys() == {1} for result in found.results)


def test_the_spacing_of_a_map_counts() -> None:
    walk = [PlainScore(), WalkedScore(WalkSettings(k=5, spatial_weight=6.0, grid="map"))]
    flat = [{**c, "pred": MetaTensor(c["pred"], affine=torch.diag(torch.tensor([1.0, 9.0, 1, 1])))} for c in cases()]
    values = [tune_settings(some, candidates=walk).results for some in (cases(), flat)]
    assert {r.candidate: r.value for r in values[0]} != {r.candidate: r.value for r in values[1]}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"keep_apart": ["p1", "x"]}, ValueError, r"\['p1'\] \(1 in all\) are in both"),
        ({"unit_key": "who"}, KeyError, "Expected 'who' in case"),
        ({"score_key": "scores"}, KeyError, "Expected 'scores' in case"),
        ({"feature_keys": {"other": "features"}}, ValueError, r"walk by the features \['features'\]"),
        ({"label_mode": "regions"}, ValueError, r"Case \d+, score 'pred', label 'label'"),
        ({"cases": cases(2)}, ValueError, "at least 2 tuning units"),
        ({"alpha": 2}, ValueError, "`alpha`"),
        ({"keep_apart": "p1"}, TypeError, r"`keep_apart` to be a collection of names, .* Write \['p1'\]"),
        ({"keep_apart": 3}, TypeError, r"`keep_apart` to be a collection of names, such as"),
        ({"candidates": []}, ValueError, "Expected `candidates` .* but got 'none'"),
        ({"candidates": [WalkSettings()]}, ValueError, r"WalkedScore\(settings\) .* but got WalkSettings"),
        ({"feature_keys": "features"}, TypeError, "`feature_keys` to be a mapping"),
        ({"keep_apart": [["p1"]]}, ValueError, r"every name in `keep_apart` to be a name .* got \['p1'\]"),
        ({"cases": [cases(2)]}, TypeError, "case 0 to be an item dictionary, but got list"),
        (
            {"cases": [{**c, "patient": torch.tensor([1])} for c in cases()]},
            ValueError,
            "'patient' of case 0 to be a name",
        ),
        ({"cases": [{**c, "pred": "map.nii"} for c in cases()]}, TypeError, "'pred' of case .* got str 'map.nii'"),
        (
            {"cases": [*cases(), {**cases(1)[0], "pred": MetaTensor(cases(1)[0]["pred"])}]},
            ValueError,
            r"Case \d+, .*would mix mm and voxels",
        ),
        (
            {"cases": [*cases(), more_channels()]},
            ValueError,
            r"Case \d+, .*the classes \[1(, 2)?\], as in the cases",
        ),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {"cases": cases(), "candidates": CANDIDATES} | change
    with pytest.raises(error, match=message):
        tune_settings(**arguments)


@pytest.mark.parametrize("candidate", [CANDIDATES[0], CANDIDATES[2], CANDIDATES[-1]], ids=lambda c: c.kind)
def test_a_file_says_the_same_and_notices_changes(candidate: Score, tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    settings(candidate).save(path)
    assert TunedSettings.load(path) == settings(candidate)
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "tuning_units": []}))
    with pytest.raises(ValueError, match="changed after it was written"):
        TunedSettings.load(path)
    path.write_text(json.dumps({**document, "version": 1}))
    with pytest.raises(
        ValueError, match=r"that monai_rwcp 0\.1 wrote .* make it anew with tune_settings or `monai-rwcp tune`"
    ):
        TunedSettings.load(path)
    for name in ("method", "settings", "tuning_units", "unit_name", "alpha", "objective", "why"):
        for damaged in ({k: v for k, v in document.items() if k != name}, {**document, name: None}):
            if name in ("method", "settings", "tuning_units") or name not in damaged:
                path.write_text(json.dumps({**damaged, "digest": digest(damaged)}))
                with pytest.raises(ValueError, match=r"settings\.json' (lacks a field|contradicts itself)"):
                    TunedSettings.load(path)
    with pytest.raises(FileNotFoundError, match="There is no settings file"):
        TunedSettings.load(tmp_path / "other.json")


def test_a_chain_does_what_was_chosen(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    chain = TunedScored("pred", path, output_keys="score")
    item = {**cases(1)[0], "pred_provenance": {"network": "abc"}}
    before = item["pred"].clone()
    walk = CANDIDATES[-1]
    assert isinstance(walk, WalkedScore)
    settings(walk).save(path)
    made, expected = chain(item), RandomWalkDiffusiond("pred", **walk.walk, output_keys="score")(item)
    assert torch.equal(made["score"], expected["score"])
    assert made["score_provenance"] == expected["score_provenance"]
    # The file is read again when it has changed.
    settings(BlurredScore(2.0)).save(path)
    made = chain(item)
    assert torch.equal(made["score"], BlurredScore(2.0).make(item["pred"]))
    assert made["score_provenance"]["network"] == "abc"
    blur = {"kind": "blur", "settings": BlurredScore(2.0).settings, "side": "unknown"}
    assert made["score_provenance"]["steps"] == [blur]
    settings(BlurredScore(2.0, keep_peak=True)).save(path)
    made = chain(item)
    assert torch.equal(made["score"], BlurredScore(2.0, keep_peak=True).make(item["pred"]))
    assert made["score_provenance"]["steps"][0]["settings"]["keep_peak"] is True
    # Smoothing what was smoothed already makes another score, and another record.
    again = TunedScored("score", path)(made)
    first = made["score_provenance"]["steps"]
    assert again["score_provenance"] == {**made["score_provenance"], "steps": [*first, *first]}
    walked = RandomWalkDiffusiond("score", **walk.walk)(made)
    other = TunedScored("pred", path)(RandomWalkDiffusiond("pred", **walk.walk)(item))
    assert walked["score_provenance"] != other["pred_provenance"]
    kinds = [
        [step["kind"] for step in record["steps"]] for record in (walked["score_provenance"], other["pred_provenance"])
    ]
    assert kinds == [["blur", "walk"], ["walk", "blur"]]
    settings(PlainScore()).save(path)
    made = chain(item)
    assert torch.equal(made["score"], before)
    assert made["score"] is not item["pred"]
    assert made["score_provenance"] == {"network": "abc"}
    assert torch.equal(item["pred"], before)


def test_meta_data_stays_and_the_chain_travels() -> None:
    affine = torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0], dtype=torch.float64))
    item = {"pred": MetaTensor(cases(1)[0]["pred"], affine=affine)}
    chain = pickle.loads(pickle.dumps(TunedScored("pred", settings(BlurredScore(1.0)))))
    made = chain(item)["pred"]
    assert isinstance(made, MetaTensor)
    assert torch.equal(made.affine, affine)
    assert not made.applied_operations


def test_wrong_maps_and_missing_features_are_refused() -> None:
    with pytest.raises(ValueError, match="Key 'pred': .*looks like logits"):
        TunedScored("pred", settings(BlurredScore(1.0)))({"pred": 5 * torch.randn(2, 8, 8)})
    with pytest.raises(KeyError, match="Put DenseFeaturesd"):
        TunedScored("pred", settings(CANDIDATES[-1]))({"pred": torch.rand(2, 8, 8)})
    walk = CANDIDATES[-1]
    assert isinstance(walk, WalkedScore)
    other = settings(WalkedScore(walk.walk, "mind"))
    item = cases(1)[0]
    with pytest.raises(ValueError, match=r"by the features 'mind', but `feature_keys` names only \['features'\]"):
        TunedScored("pred", other)(item)
    made = TunedScored("pred", other, feature_keys={"mind": "features"})(item)
    assert torch.equal(made["pred"], TunedScored("pred", settings(walk))(item)["pred"])
    with pytest.raises(TypeError, match="`feature_keys` to be a mapping of sources to keys"):
        TunedScored("pred", other, feature_keys="features")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="settings must be a TunedSettings or a path but is int"):
        TunedScored("pred", 3)  # type: ignore[arg-type]
    assert TunedScored("pred", settings(PlainScore()), allow_missing_keys=True)({"other": 1}) == {"other": 1}


def test_a_bundle_takes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    settings(BlurredScore(1.0)).save(path)
    parser = ConfigParser({"t": {"_target_": "monai_rwcp.TunedScored", "keys": "pred", "settings": str(path)}})
    assert torch.equal(parser.get_parsed_content("t")(cases(1)[0])["pred"], BlurredScore(1.0).make(cases(1)[0]["pred"]))


def test_the_handler_refuses_patients_that_were_tuned_on(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    tuned = settings(PlainScore())
    tuned.save(path)

    def run(patients: list[str], given: Any) -> ConformalCalibrationHandler:
        handler = ConformalCalibrationHandler(alpha=0.3, unit_key="patient", settings=given)
        run_bare(
            handler, [[{**case, "patient": name} for case, name in zip(cases(len(patients)), patients, strict=True)]]
        )
        return handler

    for given in (path, tuned):
        with pytest.raises(ValueError, match=r"calibration patients that the settings were not tuned on.*\['ben'\]"):
            run(["carl", "ben", "dora"], given)
        assert run(["carl", "dora", "emil"], given).calibration.n == {1: 3}
    # Names of images, or of something else, would match no patient's.
    for unit_key in (None, "subject"):
        handler = ConformalCalibrationHandler(alpha=0.3, unit_key=unit_key, settings=tuned)
        engine = Engine(lambda engine, batch: batch)
        handler.attach(engine)
        items = [{**case, "subject": name} for case, name in zip(cases(3), ("anna", "ben", "carl"), strict=True)]
        with pytest.raises(ValueError, match=r"tuned on units called 'patient'.*unit_key='patient'"):
            engine.run([items])
