"""A promise about what the set claims wrongly: false discovery proportion, by Learn then Test."""

from docs.gallery.patients import CLASS_NAMES, calibration_items, table_of
from monai_rwcp.report import plot_risk

# shown
table = table_of(calibration_items, loss="false_discovery")
axes = plot_risk(table, alpha=0.3, class_index=1, method="ltt", delta=0.1, class_names=CLASS_NAMES)
# to here
axes.figure.savefig("false_discovery.png", dpi=140)
