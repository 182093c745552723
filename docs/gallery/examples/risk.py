"""Where a calibration stops: the promise about the average."""

from docs.gallery.patients import CLASS_NAMES, table
from monai_rwcp.report import plot_risk

# shown
axes = plot_risk(table, alpha=0.1, class_index=1, class_names=CLASS_NAMES)
# to here
axes.figure.savefig("risk.png", dpi=140)
