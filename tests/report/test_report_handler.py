"""The report handler: the page of the command from the same sets, in an evaluator, over two processes, and bad cases."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from ignite.engine import Engine
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd, Compose, EnsureChannelFirstd, Invertd, LoadImaged, Orientationd, SpatialPadd

from monai_rwcp import ConformalCalibrationHandler, ConformalSandwichd, ReportHandler
from monai_rwcp.cli import main
from monai_rwcp.conformal import Calibration, ClassCalibration, prediction_set
from tests.helpers.engines import run_bare
from tests.helpers.networks import ClassDistance
from tests.helpers.processes import in_processes
from tests.helpers.report_cohort import Cohort


def item(i: int, **changes: Any) -> dict[str, Any]:
    def on_grid(values: np.ndarray) -> MetaTensor:
        channels = values[None] if values.ndim == 3 else np.moveaxis(values, -1, 0)
        return MetaTensor(torch.tensor(channels.copy()), affine=torch.tensor(Cohort.affine))

    found = {"pred_set": Cohort.found(i), "label": Cohort.label(i), "image": Cohort.image(i), "inner": Cohort.inner(i)}
    return {key: on_grid(values) for key, values in found.items()} | {"name": Cohort.name(i), **changes}


def run(handler: ReportHandler, batches: list[list[dict[str, Any]]]) -> None:
    # Attached twice it counts once.
    run_bare([handler, handler], batches)


OPTIONS: dict[str, Any] = {"image_key": "image", "inner_key": "inner", "unit_key": "name", "case_key": "name"}


def test_it_writes_the_page_of_the_command(tmp_path: Path) -> None:
    arguments = [*Cohort.write(tmp_path), "--inner", str(tmp_path / "inner")]
    ran = CliRunner().invoke(main, [*arguments, "--out", str(tmp_path / "command.html")])
    assert ran.exit_code == 0, ran.output
    handler = ReportHandler(str(tmp_path / "c.json"), str(tmp_path / "handler.html"), **OPTIONS)
    run(handler, [[item(i) for i in range(5)], [item(i) for i in range(5, Cohort.n)]])
    assert (tmp_path / "handler.html").read_text() == (tmp_path / "command.html").read_text()
    # A second run starts anew, and replaces the page.
    run(handler, [[item(3)]])
    assert "<p>1 images of 1 patients.</p>" in (tmp_path / "handler.html").read_text()


def test_only_the_worst_so_far_are_kept(tmp_path: Path) -> None:
    drawn: list[int] = []

    class Counted(dict):
        def get(self, key: Any, default: Any = None) -> Any:
            if key == "image":
                drawn.append(int(self["name"][-2:]))
            return super().get(key, default)

    calibration = replace(Cohort.calibration, classes={1: Cohort.calibration.classes[1]})
    handler = ReportHandler(calibration, tmp_path / "r.html", n_shown=2, **OPTIONS)
    engine = Engine(lambda engine, batch: [Counted(item(i)) for i in batch])
    handler.attach(engine)
    engine.run([[0, 1], [2, 4], [3, 9], [8, 5]])
    # Shares missed: 0, 1, 2, 4, 3, 4, 3 and 0 of 8. Those that are not among the worst when they come are not drawn.
    assert drawn == [0, 1, 2, 4, 3, 9]
    page = (tmp_path / "r.html").read_text()
    assert re.findall(r"<figcaption>(case_\d\d), organ", page) == ["case_04", "case_09"]


def test_after_invertd_with_the_image_on_its_processed_grid(tmp_path: Path) -> None:
    """A whole evaluator: files, a flip and a pad before the network, both sets after Invertd, the page from them."""
    (tmp_path / "cohort").mkdir()
    Cohort.write(tmp_path / "cohort")
    before = Compose([
        LoadImaged(("image", "label"), image_only=True), EnsureChannelFirstd(("image", "label")),
        Orientationd("image", axcodes="LPS", labels=None), SpatialPadd("image", (24, 24, 8)),
    ])  # fmt: skip
    data = [
        {key: str(tmp_path / "cohort" / key / f"{Cohort.name(i)}.nii.gz") for key in ("image", "label")}
        | {"patient": f"p{i}", "scanner": "AB"[i % 2]}
        for i in range(Cohort.n)
    ]

    def evaluate(handlers: list[Any], *more: Any) -> None:
        after = [Activationsd("pred", softmax=True), Invertd("pred", before, orig_keys="image", nearest_interp=False)]
        SupervisedEvaluator(
            device="cpu", val_data_loader=DataLoader(Dataset(data, before), batch_size=2), network=ClassDistance(2.0, size=100.0, spatial_dims=3),
            postprocessing=Compose([*after, *more]), val_handlers=handlers,
        ).run()  # fmt: skip

    paths = {loss: str(tmp_path / f"{loss}.json") for loss in ("inner", "fnr")}
    options = {"unit_key": "patient", "class_names": ["background", "organ", "lesion"]}
    evaluate([
        ConformalCalibrationHandler(alpha=0.2, loss=loss, output_path=path, **options) for loss, path in paths.items()
    ])  # fmt: skip
    config = {
        "_target_": "ReportHandler", "calibration": paths["fnr"], "output_path": str(tmp_path / "r.html"),
        "set_key": "pred_outer", "inner_key": "pred_inner", "unit_key": "patient", "image_key": "image",
        "score_key": "pred", "stratum_key": "scanner",
    }  # fmt: skip
    handler = ConfigParser({"imports": ["$import monai_rwcp"], "h": config}).get_parsed_content("h")
    assert isinstance(pickle.loads(pickle.dumps(handler)), ReportHandler)
    evaluate([handler], ConformalSandwichd("pred", paths["inner"], paths["fnr"]))
    page = (tmp_path / "r.html").read_text()
    assert "worst stratum" in page
    assert len(re.findall(r"<figcaption>Stretch against lambda.*?lambda_hat = ", page)) == 2
    # Files are named without their folders.
    assert len(re.findall(r"<figcaption>case_\d\d.nii.gz, \w+: ", page)) == 4
    assert str(tmp_path) not in page.replace(str(tmp_path / "r.html"), "")


def test_the_image_is_brought_to_the_grid_of_the_set(tmp_path: Path) -> None:
    """An image that was flipped before the network, as its affine tells, is shown as the one that was not."""
    pages = []
    for flipped in (False, True):
        one = item(4)
        if flipped:
            affine = torch.tensor(Cohort.affine)
            affine[0, 3] = affine[0, 0] * (one["image"].shape[1] - 1)
            affine[0, 0] *= -1
            one["image"] = MetaTensor(one["image"].as_tensor().flip(1), affine=affine)
        path = tmp_path / f"{flipped}.html"
        run(ReportHandler(Cohort.calibration, path, **OPTIONS), [[one]])
        pages.append(path.read_text())
    assert pages[0] == pages[1]


def test_sets_in_2d_without_meta_data(tmp_path: Path) -> None:
    cases = [
        {
            "pred_set": torch.tensor(np.moveaxis(Cohort.found(i)[:, :, 2], -1, 0).copy()),
            "label": torch.tensor(Cohort.label(i)[None, :, :, 2]),
            "image": torch.tensor(Cohort.image(i)[None, :, :, 2]),
        }
        for i in range(Cohort.n)
    ]
    by_image = replace(Cohort.calibration, unit_name="image")
    run(ReportHandler(by_image, tmp_path / "r.html", image_key="image"), [cases])
    page = (tmp_path / "r.html").read_text()
    assert "HD95 (voxels)" in page
    assert '<input type="range"' not in page
    assert "image 4, organ: 50.0 % missed" in page


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"label": torch.ones(1, 20, 16, 5)}, {}, r"Case 'case_00', set 'pred_set', label 'label': .*label of shape"),
        ({"pred_set": torch.ones(2, 20, 16, 6)}, {}, r"Expected a set \[3, \*spatial\]"),
        ({"inner": torch.ones(3, 20, 16, 6)}, {}, "inside the set, but .* voxels of class 1 are not"),
        ({"inner": torch.ones(3, 20, 16, 5)}, {}, "inner set of the set's shape"),
        ({"pred": (torch.arange(6) > 2).float().repeat(3, 20, 16, 1)}, {"score_key": "pred"}, "looks like a mask"),
        ({}, {"unit_key": None}, "Expected units of kind 'patient', as calibrated"),
    ],
)
def test_a_case_that_does_not_fit_is_named(
    change: dict[str, Any], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    handler = ReportHandler(Cohort.calibration, tmp_path / "r.html", **OPTIONS | options)
    with pytest.raises(ValueError, match=message):
        run(handler, [[item(0, **change)]])
    assert not (tmp_path / "r.html").exists()


def test_what_is_wrong_from_the_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="label_mode"):
        ReportHandler(Cohort.calibration, tmp_path / "r.html", label_mode="indices")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="from 0 on"):
        ReportHandler(Cohort.calibration, tmp_path / "r.html", n_shown=-1)
    with pytest.raises(FileNotFoundError, match="folder"):
        run(ReportHandler(Cohort.calibration, tmp_path / "no" / "r.html", **OPTIONS), [[item(0)]])
    with pytest.raises(FileNotFoundError, match="no calibration"):
        run(ReportHandler(tmp_path / "c.json", tmp_path / "r.html", **OPTIONS), [[item(0)]])
    with pytest.raises(KeyError, match="Expected 'scanner' in every item"):
        run(ReportHandler(Cohort.calibration, tmp_path / "r.html", stratum_key="scanner", **OPTIONS), [[item(0)]])
    with pytest.raises(ValueError, match="no case to report"):
        run(ReportHandler(Cohort.calibration, tmp_path / "r.html", **OPTIONS), [[]])


# --- two processes ----------------------------------------------------------------------------------------------------

# As a sampler deals them out, with one twice; and all on one side.
SHARES = [[[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11, 4]], [[], list(range(12))]]


def _share(rank: int, folder: str) -> None:
    calibration = Calibration.load(f"{folder}/c.json")
    for number, share in enumerate(SHARES):
        path = Path(folder) / f"{number}.html"
        run(ReportHandler(calibration, path, **OPTIONS), [[item(i)] for i in share[rank]] or [[]])
        # The second process goes on when the file is there.
        assert path.exists()


def test_two_processes_write_the_page_of_one(tmp_path: Path) -> None:
    replace(Cohort.calibration, classes={1: Cohort.calibration.classes[1]}).save(tmp_path / "c.json")
    run(ReportHandler(tmp_path / "c.json", tmp_path / "one.html", **OPTIONS), [[item(i) for i in range(Cohort.n)]])
    in_processes(2, _share, str(tmp_path))
    expected = (tmp_path / "one.html").read_text()
    for number in range(len(SHARES)):
        assert (tmp_path / f"{number}.html").read_text() == expected


def test_the_curve_passes_through_the_sets_where_scores_are_exactly_zero(tmp_path: Path) -> None:
    score = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))
    score[:, :, 5:] = 0
    calibration = replace(Cohort.calibration, classes={1: ClassCalibration(0.5, 30, 0.05, 0.07)})
    handler = ReportHandler(calibration, tmp_path / "r.html", unit_key="name", case_key="name", score_key="pred")
    found = prediction_set(score, calibration)
    made = {"pred": score, "pred_set": found, "label": torch.ones(1, 8, 8), "name": "anna"}
    sizes = handler._maps(made, "anna", calibration).sizes
    assert sizes is not None
    assert 0 < sizes[1][16] == int(found[1].sum()) < 40
