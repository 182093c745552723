"""The page of results: RESULTS.md and its pictures, from what the study has stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np

from benchmarks.baselines import BilateralScore
from benchmarks.study import SETS, SURFACE_ALPHA, candidates_of, study_set
from benchmarks.study_ablation import ablation_section
from benchmarks.study_cases import StudySet
from benchmarks.study_measure import StudyCandidate, load_curves, scores_of
from benchmarks.study_pictures import save_images, save_methods, save_settings, save_slopes, slopes
from benchmarks.study_splits import Splitter, outcomes
from benchmarks.study_tables import (
    PLAIN,
    Row,
    by_method_and_split,
    coverage_lines,
    distance_table,
    failure_tables,
    number,
    of_what_is_claimed,
    read_rows,
    split_table,
)
from benchmarks.study_targets import choice_table, target_table
from monai_rwcp.files import written_whole
from monai_rwcp.tune import BlurredScore, PlainScore, SetCurves, tuning_thresholds

_HEAD = """# Results

The first of these commands measures for hours, goes on where it was killed, and computes nothing twice; the last
writes the part of each set it is given, from what was stored, and joins all parts to this page:

```bash
python -m benchmarks.study --shared ../shared {sets}
python -m benchmarks.study_ablation --shared ../shared
python -m benchmarks.study_report --shared ../shared {sets}
```

How to read it. Patients that the segmentation network has not seen are split at random: a fifth (at least 8) tunes
every method by stretch, at the level its calibration will work at; half of the rest (and 25 of the 40 that the
30-patient network leaves) calibrates it by conformal risk control, class by class and patient by patient, the others
test it. That working level is what the mean over the n calibration patients may be, ((n + 1) alpha - 1)/n. Thresholds
are a part (every eighth) of those that `calibrate` chooses from. "What tune chooses" is by the rule of `tune_settings`,
among plain, blurs and walks (of volumes among 49 walks only, not 217). The bilateral filter works slice by slice, also
in volumes. FNR and stretch are means over patients, Dice over images, all of them means over classes; in brackets the
standard deviation over splits. "Change" is against plain CRC. Distances, components and bleeding (share of the wrongly
claimed voxels that lie in another class) are of a part of the splits at alpha = {alpha}, the first two of sets that are
not empty, and distances also with empty sets as far off as the image's diagonal. The splits share their patients: they
show what the method does on these patients, and are no independent evidence about others. "Development":
`recommended()` was chosen on patients of ACDC, so its rows there are no held-out result. `keep_peak` and the rule by
which `tune` prefers the simpler were found by looking at the patients of acdc-slices-8 and -30, and blurs with kept
peaks became candidates of `tune` after acdc-volumes-3; the hippocampus was not looked at for any of them. LiteMedSAM's
medical pre-training may have seen images of ACDC. All of this was looked at while the package was built. In the
pictures of slopes sets shrink to the right, where the threshold, 1 - lambda, is higher. MAPIE's own recall control on
the same maps: [`README.md`](README.md).

ACDC volumes: the end-diastolic volume of each patient, with the 2D network's own features, walked in 3D. Slices lie
several pixels apart, nobody knows how many, so distances there are in voxels, a slice being one.

A second run that trained the weak hippocampus network and counted all its images from nothing gave the rows of plain
CRC, `paper()` and `recommended()` again to the last digit, at every promise.
"""


@click.command(context_settings={"show_default": True})
@click.option("--set", "names", type=click.Choice(SETS), multiple=True, required=True, help="May be repeated.")
@click.option("--shared", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--out", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path("out/study"))
@click.option("--slices", default=2, help="As in the study.")
@click.option("--seed", default=0, help="As in the study.")
@click.option("--page", type=click.Path(dir_okay=False, path_type=Path), default=Path("benchmarks/RESULTS.md"))
def main(names: tuple[str, ...], shared: Path, out: Path, slices: int, seed: int, page: Path) -> None:
    """Write the parts of some sets with their pictures, and the page of all parts that are there."""
    folder = page.parent / "results" / "study"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        study = study_set(name, shared, out, slices)
        candidates = candidates_of(name, study)
        curves = load_curves(study, candidates, out / "curves" / name)
        rows, measured = read_rows(out / f"{name}.csv"), out / f"{name}-sets.csv"
        sets = read_rows(measured) if measured.exists() else []
        parts = _section(name, study, curves, rows, sets, folder, seed)
        ablation = out / f"{name}-ablation.csv"
        if ablation.exists():
            parts += [f"### {study.name}: what each setting does\n", ablation_section(read_rows(ablation))]
        _write(folder / f"{name}.md", parts)
        click.echo(f"{name}: done")
    # Parts of other sets stay as they were made.
    there = [name for name in SETS if (folder / f"{name}.md").exists()]
    head = _HEAD.format(sets=" ".join(f"--set {name}" for name in there), alpha=SURFACE_ALPHA)
    _write(page, [head, *((folder / f"{name}.md").read_text(encoding="utf-8") for name in there)])
    click.echo(f"{page}")


def _write(path: Path, parts: Sequence[str]) -> None:
    with written_whole(path) as temporary:
        temporary.write_text("\n".join(parts).rstrip() + "\n", encoding="utf-8")


def _targets(name: str, sets: list[Row]) -> list[str]:
    parts = []
    if name.startswith("acdc-slices"):
        for walk in ("walk on LiteMedSAM, tuned", "what tune chooses"):
            parts += [f'Targets, "{walk}", distances of the sets that are not empty:\n']
            parts += [target_table({name: sets}, walk, with_empty=False)]
            parts += ["The same with empty sets as far off as the image's diagonal:\n"]
            parts += [target_table({name: sets}, walk, with_empty=True)]
    return parts


def _section(
    name: str,
    study: StudySet,
    curves: dict[StudyCandidate, SetCurves],
    rows: list[Row],
    sets: list[Row],
    pictures: Path,
    seed: int,
) -> list[str]:
    owner = {info.name: info.unit for info in study.infos}
    pooled = {candidate: of.pooled(owner) for candidate, of in curves.items()}
    walk = f"walk on {study.sources[0]}, tuned"
    at = [row for row in rows if float(row["alpha"]) == SURFACE_ALPHA]
    if not at:
        raise click.ClickException(f"The study of '{name}' has no splits at alpha = {SURFACE_ALPHA}, which are drawn.")
    usual = Counter(row["candidate"] for row in at if row["method"] == walk).most_common(1)[0][0]
    walked = next(c for c in pooled if c.name == usual)
    columns = {label: by_method_and_split(at, partial(number, of)) for label, of in _AT_SPLITS.items()}
    surfaces = {
        label: by_method_and_split(sets, partial(of_what_is_claimed, of)) for label, of in _AT_SETS.items() if sets
    }
    save_methods(columns | surfaces, f"{study.name}, alpha = {SURFACE_ALPHA}", pictures / f"{name}-methods.png")
    source = study.sources[0]
    title = f"{study.name}: stretch on all unseen patients by settings of the walk on {source} (exploratory)"
    save_settings(pooled, source, SURFACE_ALPHA, title, pictures / f"{name}-settings.png")
    both = {"plain": pooled[PlainScore()], walked.name: pooled[walked]}
    save_slopes(both, study.class_names, SURFACE_ALPHA, study.name, pictures / f"{name}-slopes.png")
    by_threshold, by_alpha = ([f"{slopes(of, SURFACE_ALPHA)[i]:.2f}" for of in both.values()] for i in (0, 1))
    picked = Counter(row["candidate"] for row in at if row["method"] == "what tune chooses")
    kinds = Counter(dict.fromkeys(("plain", "blur", "blur with kept peaks", "walk"), 0))
    for candidate, count in picked.items():
        kind = candidate.split()[0]
        kinds["blur with kept peaks" if kind == "blur" and "keep_peak" in candidate else kind] += count
    total = sum(picked.values())
    distances, failures = ["Distances were not measured (`--surface-splits 0`).\n"], []
    if sets:
        distances = [
            f"At alpha = {SURFACE_ALPHA}, sets of test images that show the class, {_count(sets)} splits:\n",
            distance_table(sets, study.unit_of_length),
            *_targets(name, sets),
        ]
        splitter = Splitter(tuple(study.units), seed)
        rule = _save_images(study, curves, pooled, sets, walk, splitter, pictures / f"{name}.png")
        failures = [
            "Where it fails:\n",
            failure_tables(
                sets, [m for m in (PLAIN, "blur, tuned", "bilateral, tuned", walk) if m in surfaces["HD95"]]
            ),
            f"{rule}\n",
            f"![Images](results/study/{name}.png)\n",
        ]
    return [
        f"## {study.name}\n",
        f"{len(study.units)} unseen patients, {len(study.infos)} images, {_count(rows)} splits ({_versions()}).\n",
        *coverage_lines({name: rows}),
        "",
        split_table(rows),
        '"What tune chooses" against the best baseline (target of the 30-patient network: nowhere worse by more than '
        "splits scatter):\n",
        choice_table(rows),
        _widest_tried(rows, list(pooled)),
        *distances,
        f"![Methods](results/study/{name}-methods.png)\n",
        "What `tune` chooses: " + ", ".join(f"{kind} {count / total:.0%}" for kind, count in kinds.items()) + ".\n",
        f"![Settings](results/study/{name}-settings.png)\n",
        f"Set size along the threshold, of the walk chosen most often (`{walked.name}`): d log(stretch)/d lambda, "
        f"where all unseen patients together miss {SURFACE_ALPHA}, is {by_threshold[0]} for the plain and "
        f"{by_threshold[1]} for the walked score; relative change of stretch with alpha, which does not depend on the "
        f"score's scale: {by_alpha[0]} and {by_alpha[1]}.\n",
        f"![Slopes](results/study/{name}-slopes.png)\n",
        *failures,
    ]


def _widest_tried(rows: list[Row], candidates: Sequence[StudyCandidate]) -> str:
    """How often a filter was tuned to the widest that was tried: a wider one might do better there."""
    blur = max((c for c in candidates if isinstance(c, BlurredScore) and not c.keep_peak), key=lambda c: c.sigma)
    space = max(c.sigma_space for c in candidates if isinstance(c, BilateralScore))
    widest = {
        "blur, tuned": {blur.name},
        "bilateral, tuned": {c.name for c in candidates if isinstance(c, BilateralScore) and c.sigma_space == space},
    }
    said = []
    for method, names in widest.items():
        for alpha in sorted({row["alpha"] for row in rows}, key=float):
            picked = [row["candidate"] in names for row in rows if row["method"] == method and row["alpha"] == alpha]
            said.append(f"{method.split(',')[0]} {sum(picked) / len(picked):.0%} at alpha = {alpha}")
    return f"Tuned to the widest tried ({blur.sigma:g} and {space:g} voxels): {', '.join(said)}.\n"


def _count(rows: list[Row]) -> int:
    return len({row["split"] for row in rows})


def _versions() -> str:
    return ", ".join(f"{package} {version(package)}" for package in ("monai_rwcp", "torch", "monai", "numpy"))


_AT_SPLITS = {"stretch": "stretch", "Dice": "dice"}
_AT_SETS = {"ASSD": "average_surface_distance", "HD95": "hausdorff_distance_95"}


def _save_images(
    study: StudySet,
    curves: dict[StudyCandidate, SetCurves],
    pooled: dict[StudyCandidate, SetCurves],
    sets: list[Row],
    walk: str,
    splitter: Splitter,
    path: Path,
) -> str:
    """Draw images by the plain sets' distance in the first split, and the one where the walk's set is farthest off."""
    c = len(study.class_names) - 1
    found = {o.method: o for o in outcomes(pooled, splitter, 0, SURFACE_ALPHA) if o.method in (PLAIN, walk)}
    of_class = [row for row in sets if row["split"] == "0" and row["class_name"] == study.class_names[c]]
    of_class.sort(key=lambda row: float(row["hausdorff_distance_95"]))
    places = {"easy": (PLAIN, 0.1), "typical": (PLAIN, 0.5), "plain worst": (PLAIN, 1.0), "walk worst": (walk, 1.0)}
    shown = []
    for word, (by, share) in places.items():
        ranked = [row for row in of_class if row["method"] == by]
        row = ranked[round(share * (len(ranked) - 1))]
        case = study.load(next(info for info in study.infos if info.name == row["case"]))
        scores = dict(scores_of(case, list({o.candidate: None for o in found.values()})))
        masks: dict[str, np.ndarray] = {
            method: (scores[o.candidate][c] >= float(tuning_thresholds()[o.steps[c - 1]])).numpy()
            for method, o in found.items()
        }
        heading = f"{word}: {row['case']}"
        shown.append((heading, case, scores[found[walk].candidate][c].numpy(), masks))
    title = f"{study.name}: {study.class_names[c]}, truth in green, alpha = {SURFACE_ALPHA}"
    save_images(shown, c, title, path)
    return (
        f"Images of the {study.class_names[c]}, chosen by rule: in the first split, those at the 10th, 50th and 100th "
        "percentile of the plain sets' HD95, and the walked set that is farthest off (empty sets are farthest)."
    )


if __name__ == "__main__":
    main()
