"""Records of how scores were made: joined, compared, and kept as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from monai_rwcp.provenance import RecordedStep, ScoreRecord

WALK = RecordedStep("walk", {"k": 20, "neighborhood": ["slices", 1]}, "processed", {"extractor": "Mine"})
BLUR = RecordedStep("blur", {"sigma": 2.0}, "original")
WHOLE = ScoreRecord(
    network="sha256:12",
    inferer={"class": "SlidingWindowInferer", "overlap": 0.25},
    flips=[[0], [0, 1]],
    spacing=[1.0, 2.0],
    steps=(WALK, BLUR),
    dtype="float32",
    side="original",
)


@pytest.mark.parametrize("record", [WHOLE, ScoreRecord(), ScoreRecord(spacing="varies"), ScoreRecord(steps=(BLUR,))])
def test_json_and_back(record: ScoreRecord) -> None:
    values = json.loads(json.dumps(record.to_json(), allow_nan=False))
    assert ScoreRecord.from_json(values) == record
    assert None not in values.values()


def test_nothing_is_shared_with_the_json() -> None:
    WHOLE.to_json()["steps"][0]["settings"]["k"] = 5
    assert WHOLE.steps[0].settings["k"] == 20


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"walk": {"k": 20}}, r"got \['walk'\]"),
        ("sha256:12", "got 'sha256:12'"),
        ({"steps": [{"kind": "walk", "k": 20}]}, "lacks 'settings'"),
        ({"steps": ["walk"]}, r"steps\[0\] is 'walk', which is no object"),
        ({"steps": [{"kind": "walk", "settings": None}]}, "settings is None"),
        ({"steps": [{"kind": "walk", "settings": "k"}]}, "settings is 'k'"),
        ({"steps": [{"kind": "walk", "settings": {}, "colour": 1}]}, "'colour'"),
        ({"steps": 3}, "steps is 3, which is no list"),
        ({"spacing": ["a", "b"]}, "spacing is"),
        ({"spacing": 2.0}, "spacing is 2.0"),
        ([], r"got \[\]"),
        (0, "got 0"),
    ],
)
def test_what_is_no_record_is_refused(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScoreRecord.from_json(values)


def test_spacing_may_vary_and_nothing_else() -> None:
    one = ScoreRecord(spacing=[1.0, 1.0], steps=(RecordedStep("walk", {"k": 20}),))
    assert ScoreRecord.join([one, replace(one, spacing=[1.0002, 1.0])]) == one
    varied = ScoreRecord.join([one, replace(one, spacing=[2.0, 1.0]), one])
    assert varied.spacing == "varies"
    assert varied.first_difference(replace(one, spacing=[9.0, 9.0])) is None
    assert one.first_difference(replace(one, spacing=[1.01, 1.0])) == ("spacing", [1.0, 1.0], [1.01, 1.0], False)
    with pytest.raises(ValueError, match=r"walk\.k is 20 for some and 5"):
        ScoreRecord.join([one, replace(one, steps=(RecordedStep("walk", {"k": 5}),))])
    with pytest.raises(ValueError, match="at least one record"):
        ScoreRecord.join([])


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        ({"network": None}, "network", "network is not recorded, but the file has 'sha256:12'"),
        ({"inferer": {"class": "SlidingWindowInferer"}}, "inferer.overlap", "not recorded, but the file has 0.25"),
        ({"inferer": None}, "inferer", "inferer is not recorded"),
        ({"flips": []}, "flips", r"flips is \[\], but the file has \[\[0\], \[0, 1\]\]"),
        ({"steps": (WALK,)}, "steps", r"steps is \['walk'\], but the file has \['walk', 'blur'\]"),
        ({"steps": (BLUR, WALK)}, "steps", r"steps is \['blur', 'walk'\], but the file has \['walk', 'blur'\]"),
        ({"steps": (replace(WALK, features="unrecorded"), BLUR)}, "walk.features", "is 'unrecorded', but"),
        ({"steps": (replace(WALK, side="original"), BLUR)}, "walk.side", "is 'original', but the file has 'processed'"),
        ({"steps": (WALK, replace(BLUR, settings={"sigma": 1.0}))}, "blur.sigma", "is 1.0, but the file has 2.0"),
        ({"dtype": "float16"}, "dtype", "is 'float16', but the file has 'float32'"),
        ({"side": "processed"}, "side", "is 'processed', but the file has 'original'"),
    ],
)
def test_the_first_field_that_differs_is_named(changed: dict[str, Any], field: str, words: str) -> None:
    differing = WHOLE.first_difference(replace(WHOLE, **changed))
    assert differing is not None
    assert differing.field == field
    assert re.search(words, differing.in_words("the file"))
    back = replace(WHOLE, **changed).first_difference(WHOLE)
    assert back is not None
    assert (back.field, back.expected, back.got) == (field, differing.got, differing.expected)


def test_steps_of_one_kind_are_told_apart_by_their_number() -> None:
    twice = ScoreRecord(steps=(BLUR, BLUR))
    differing = twice.first_difference(ScoreRecord(steps=(BLUR, replace(BLUR, side="processed"))))
    assert differing is not None
    assert differing.field == "blur 2.side"


def test_what_nobody_recorded_differs_from_what_somebody_did() -> None:
    nothing = ScoreRecord()
    assert not nothing.is_recorded
    assert not ScoreRecord(dtype="float32", side="unknown").is_recorded
    assert nothing.first_difference(ScoreRecord()) is None
    assert nothing.first_difference(ScoreRecord(network="a")) == ("network", None, "a", False)
    assert ScoreRecord(network="a").first_difference(nothing) == ("network", "a", None, False)
    differing = nothing.first_difference(ScoreRecord(steps=(WALK,)))
    assert differing is not None
    assert differing.in_words("the calibration") == "steps is ['walk'], but the calibration has none"
