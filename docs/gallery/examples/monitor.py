"""Are the cases still like those of the calibration? A monitor without labels."""

from monai.transforms import GaussianSmooth

from docs.gallery.drawing import FIRST, LIMIT, SECOND, new_figure
from docs.gallery.patients import calibration_items, new_items
from monai_rwcp.monitoring import CaseSummaries, ExchangeabilityMonitor, ImageSummary, case_summary


def summary_of(item):
    """What the monitor sees of a patient."""
    return case_summary(item["pred"].as_tensor(), item["image"].as_tensor())


summaries = {item["patient"]: ImageSummary(item["patient"], summary_of(item)) for item in calibration_items}
reference = CaseSummaries(summaries, unit_name="patient", with_image=True)
softer = [{**item, "image": GaussianSmooth(1.0)(item["image"])} for item in new_items]
streams = {"same scanner": new_items[:60], "softer images from case 21 on": new_items[:20] + softer[20:60]}
curves = {}
# shown
for name, items in streams.items():
    monitor = ExchangeabilityMonitor(reference, false_alarm_rate=0.01)
    for item in items:
        monitor.observe(item["patient"], summary_of(item))
    curves[name] = [case.martingale for case in monitor.cases.values()]
    print(monitor.in_words)
# to here
figure = new_figure()
axes = figure.subplots()
for (name, values), colour, style in zip(curves.items(), (FIRST, SECOND), ("solid", "dashdot"), strict=True):
    axes.plot(range(1, len(values) + 1), values, color=colour, linestyle=style, linewidth=2, label=name)
axes.axhline(100, color=LIMIT, linestyle="dashed", label="alarm: 1 / 0.01")
axes.set(yscale="log", xlabel="deployed cases", ylabel="evidence of a change")
axes.legend()
figure.savefig("monitor.png", dpi=140)
