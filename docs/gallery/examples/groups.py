"""A promise for each group of patients."""

import numpy as np

from docs.gallery.drawing import FIRST, LIMIT, SECOND, new_figure
from docs.gallery.patients import calibration_items, new_items, table_of
from monai_rwcp import LossTable, calibrate


def looks(item) -> str:
    """By what is known of a new patient: how much organ the network sees."""
    return "little organ" if float((item["pred"][1] >= 0.5).sum()) < MIDDLE else "much organ"


MIDDLE = float(np.median([float((item["pred"][1] >= 0.5).sum()) for item in calibration_items]))
table, new_table = (
    LossTable.join(table_of([item], group=looks(item)) for item in items) for items in (calibration_items, new_items)
)
missed = {"one threshold for all": {}, "a threshold for each group": {}}
# shown
one, own = calibrate(table, alpha=0.1), calibrate(table, alpha=0.1, by_group=True)
for group in own.groups:
    print(group, one.threshold[1], own.thresholds_for(group)[1])
# to here
for group in own.groups:
    new = [item for item in new_items if looks(item) == group]
    for name, threshold in zip(missed, (one.threshold[1], own.thresholds_for(group)[1]), strict=True):
        rates = [1 - float((item["score"][1][item["label"][0] == 1] >= threshold).float().mean()) for item in new]
        missed[name][f"{group}\n({len(new)} new patients)"] = (np.mean(rates), np.std(rates) / len(rates) ** 0.5)
figure = new_figure()
axes = figure.subplots()
for shift, colour, mark, (name, of) in zip((-0.08, 0.08), (FIRST, SECOND), "os", missed.items(), strict=True):
    means, errors = (100 * np.array(values) for values in zip(*of.values(), strict=True))
    axes.errorbar(np.arange(2) + shift, means, 1.96 * errors, fmt=mark, color=colour, capsize=4, label=name)
axes.axhline(10, color=LIMIT, linestyle="dashed", label="promised on average")
axes.set_xticks(range(2), list(of))
axes.set(xlim=(-0.6, 1.6), ylabel="missed share of the organ in %")
axes.set_ylim(bottom=0)
axes.legend(loc="upper right")
figure.savefig("groups.png", dpi=140)
