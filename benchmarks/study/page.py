"""The pages of the study, one a set and one of all, made of the rows that are kept; needs no data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from benchmarks.common.rows import Row, markdown
from benchmarks.study.ablation import ablation_section
from benchmarks.study.failures import failure_tables
from benchmarks.study.figures import PLAIN, by_method_and_split, of_what_is_claimed
from benchmarks.study.licences import images_part
from benchmarks.study.position import position_table
from benchmarks.study.sets import SETS, SURFACE_ALPHA
from benchmarks.study.store import StudyFacts, StudyResults, load_results
from benchmarks.study.tables import coverage_lines, distance_table, split_table
from benchmarks.study.targets import choice_table, choice_target, target_table
from monai_rwcp.utils.files import written_whole

__all__ = ["write_pages"]

PAGES, KEPT = Path("docs/evidence"), Path("benchmarks/results/study")

_HEAD = """# The study

The first of these commands measures for hours, goes on where it was killed, and computes nothing twice; the report
draws the pictures of the sets it is given and keeps their rows in `benchmarks/results/study`; the last makes these
pages again from what is kept there, and needs neither data nor hours:

```bash
python -m benchmarks.study --shared ../shared {sets}
python -m benchmarks.study.ablation --shared ../shared
python -m benchmarks.study.position --shared ../shared
python -m benchmarks.study.report --shared ../shared {sets}
python -m benchmarks.study.page
```

How to read it. Patients that the segmentation network has not seen are split at random: a fifth (at least 8) tunes
every method by stretch, at the level its calibration will work at; half of the rest (and 25 of the 40 that the
30-patient network leaves) calibrates it by conformal risk control, class by class and patient by patient, the others
test it. That working level is what the mean over the n calibration patients may be, ((n + 1) alpha - 1)/n. Thresholds
are a part (every eighth) of those that `calibrate` chooses from. "What tune chooses" is by the rule of `tune_settings`,
among plain, blurs and walks (of volumes among 49 walks only, not 217), "by Dice" with that objective. On the slices of
the 30-patient network 54 walks for each source of features are on a grid of 2 pixels (`fine_grid=2`), others on 4.
The bilateral filter works slice by slice, also in volumes. FNR and stretch are means over patients, Dice over images,
all of them means over classes; in brackets the standard deviation over splits. The promise is made class by class:
"highest of a class" is the mean rate of the class that is missed most. "Change" is against plain CRC. Distances,
components and bleeding (share of the wrongly claimed voxels that lie in another class) are of a part of the splits at
alpha = {alpha}, the first two of sets that are not empty, and distances also with empty sets as far off as the image's
diagonal. The splits share their patients: they show what the method does on these patients, and are no independent
evidence about others. "Development": `recommended()` was chosen on patients of ACDC, so its rows there are no held-out
result. `keep_peak` and the rule by which `tune` prefers the simpler were found by looking at the patients of
acdc-slices-8 and -30, blurs with kept peaks became candidates of `tune` after acdc-volumes-3, and the fine grid after a
look at a part of the images of acdc-slices-30; the hippocampus was not looked at for any of them. LiteMedSAM's medical
pre-training may have seen images of ACDC. All of this was looked at while the package was built. In the pictures of
slopes sets shrink to the right, where the threshold, 1 - lambda, is higher. MAPIE's own recall control on the same
maps: [its own page](chains.md#mapies-recall-control-on-the-same-maps).

ACDC volumes: the end-diastolic volume of each patient, with the 2D network's own features, walked in 3D. Slices lie
several pixels apart, nobody knows how many, so distances there are in voxels, a slice being one.

Second runs from nothing, on other machines, of what was measured twice (all but "what tune chooses by Dice" and the
column "its highest of a class"): of acdc-slices-3 and -8 every row of rates, stretch and Dice came again to the last
digit, and distances and components but for five cells of -3 (their last digit; so one cell of the ablation); of
acdc-slices-30 the rows of plain CRC, `paper()`, `recommended()` and the filters, of distances but for three cells; of
acdc-volumes-3 all rows of rates and five of nine of distances, of -8 all rows but two and of -30 all but one, where
last digits differ. The hippocampus networks were trained with two threads before, and training goes another way when
sums are rounded otherwise; plain CRC, the best filter and the tuned walk had a stretch of 5.241, 4.923 and 4.529
(weak), 2.723, 2.674 and 2.729 (middling) at alpha = .1: as much as that is the luck of a network. They are trained with
one now.
{coverage}"""

_COVERAGE = """
Is the promise kept? In all sets together:
{lines}
"""


def write_pages(pages: Path = PAGES, kept: Path = KEPT) -> None:
    """Write a page for every set whose results are kept, and the page that leads to them.

    Args:
        pages: folder of ``study.md`` and of ``study/``, where the sets' pages lie with their pictures.
        kept: folder of the rows.
    """
    found = {name: results for name in SETS if (results := load_results(name, kept)) is not None}
    (pages / "study").mkdir(parents=True, exist_ok=True)
    for name, results in found.items():
        _write(pages / "study" / f"{name}.md", _page(name, results))
    rows = {name: results.rows for name, results in found.items()}
    head = _HEAD.format(
        sets=" ".join(f"--set {name}" for name in found),
        alpha=SURFACE_ALPHA,
        coverage=_COVERAGE.format(lines="\n".join(coverage_lines(rows))) if rows else "",
    )
    _write(pages / "study.md", "\n".join([head, "```{toctree}", *(f"study/{name}" for name in found), "```", ""]))


@click.command(context_settings={"show_default": True})
@click.option("--pages", type=click.Path(file_okay=False, path_type=Path), default=PAGES)
@click.option("--results", "kept", type=click.Path(exists=True, file_okay=False, path_type=Path), default=KEPT)
def main(pages: Path, kept: Path) -> None:
    """Write the pages of the study from the rows that are kept."""
    write_pages(pages, kept)
    click.echo(f"{pages / 'study.md'}")


def _write(path: Path, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _targets(name: str, sets: Sequence[Row]) -> list[str]:
    parts = []
    if name.startswith("acdc-slices"):
        for walk in ("walk on LiteMedSAM, tuned", "what tune chooses", "what tune chooses by Dice"):
            parts += [f'Targets, "{walk}", {_count(sets)} splits, distances of the sets that are not empty:\n']
            parts += [target_table({name: sets}, walk, with_empty=False)]
            parts += ["The same with empty sets as far off as the image's diagonal:\n"]
            parts += [target_table({name: sets}, walk, with_empty=True)]
    return parts


def _page(name: str, results: StudyResults) -> str:
    facts, rows, sets = results.facts, results.rows, results.sets
    at = [row for row in rows if float(row["alpha"]) == SURFACE_ALPHA]
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
            distance_table(sets, facts.unit_of_length),
            *_targets(name, sets),
        ]
        claimed = by_method_and_split(sets, partial(of_what_is_claimed, "hausdorff_distance_95"))
        failures = [
            "Where it fails:\n",
            failure_tables(sets, [m for m in (PLAIN, "blur, tuned", "bilateral, tuned", facts.walk) if m in claimed]),
            *images_part(name, facts.images_rule),
        ]
    slopes = [[f"{x:.2f}" for x in both] for both in (facts.slope_by_threshold, facts.slope_by_alpha)]
    parts = [
        f"# {facts.title}\n",
        f"{facts.patients} unseen patients, {facts.images} images, {_count(rows)} splits ({facts.made_with}).\n",
        *coverage_lines({name: rows}),
        "",
        split_table(rows),
        '"What tune chooses" against the best baseline; "worse" and "better" are so in more than 95 % of splits:\n',
        choice_table(rows),
        *([f"Target, nowhere worse: {choice_target(rows)}.\n"] if name.endswith("-30") else []),
        _widest_tried(rows, facts),
        *distances,
        "Seconds to make the score of one image by the candidate chosen most often (one thread, median of five images, "
        "features apart):\n",
        markdown(list(facts.seconds), [[f"{seconds:.3f}" for seconds in facts.seconds.values()]]),
        f"![Methods]({name}-methods.png)\n",
        "What `tune` chooses: " + ", ".join(f"{kind} {count / total:.0%}" for kind, count in kinds.items()) + ".\n",
        f"![Settings]({name}-settings.png)\n",
        f"Set size along the threshold, of the walk chosen most often (`{facts.usual_walk}`): d log(stretch)/d lambda, "
        f"where all unseen patients together miss {SURFACE_ALPHA}, is {slopes[0][0]} for the plain and "
        f"{slopes[0][1]} for the walked score; relative change of stretch with alpha, which does not depend on the "
        f"score's scale: {slopes[1][0]} and {slopes[1][1]}.\n",
        f"![Slopes]({name}-slopes.png)\n",
        *failures,
    ]
    if results.position:
        parts += [
            "From base to apex: all slices of the end-diastolic volumes, calibrated on them by patient, at alpha = "
            f"{SURFACE_ALPHA} with the candidates chosen most often above (so test patients took part in the choice), "
            f"{_count(results.position)} splits; FNR (stretch) in thirds of the slices that show a class:\n",
            position_table(results.position),
        ]
    if results.ablation:
        parts += ["## What each setting does\n", ablation_section(results.ablation)]
    return "\n".join(parts).rstrip() + "\n"


def _widest_tried(rows: Sequence[Row], facts: StudyFacts) -> str:
    """How often a filter was tuned to the widest that was tried: a wider one might do better there."""
    said = []
    for method, (_, names) in facts.widest.items():
        for alpha in sorted({row["alpha"] for row in rows}, key=float):
            picked = [row["candidate"] in names for row in rows if row["method"] == method and row["alpha"] == alpha]
            said.append(f"{method.split(',')[0]} {sum(picked) / len(picked):.0%} at alpha = {alpha}")
    widths = " and ".join(f"{width:g}" for width, _ in facts.widest.values())
    return f"Tuned to the widest tried ({widths} voxels): {', '.join(said)}.\n"


def _count(rows: Sequence[Row]) -> int:
    return len({row["split"] for row in rows})


if __name__ == "__main__":
    main()
