"""Is the loss still what was promised? A monitor for labels that come later."""

from docs.gallery.drawing import FIRST, LIMIT, SECOND, new_figure
from docs.gallery.patients import calibration, new_table
from monai_rwcp.monitoring import RealisedLossMonitor, realised_losses

kept = list(realised_losses(new_table, calibration)[1].values())[:80]
streams = {
    "as calibrated": kept,
    "three times the loss from case 21 on": kept[:20] + [min(1.0, 3 * v) for v in kept[20:]],
}
capital: dict[str, list[float]] = {name: [] for name in streams}
# shown
for name, losses in streams.items():
    monitor = RealisedLossMonitor(tolerated=0.15, false_alarm_rate=0.01)
    for loss in losses:
        monitor.observe(loss)
        capital[name].append(monitor.capital)
# to here
figure = new_figure()
axes = figure.subplots()
for (name, values), colour, style in zip(capital.items(), (FIRST, SECOND), ("solid", "dashdot"), strict=True):
    axes.plot(range(1, len(values) + 1), values, color=colour, linestyle=style, linewidth=2, label=name)
axes.axhline(100, color=LIMIT, linestyle="dashed", label="alarm: 1 / 0.01")
axes.set(yscale="log", xlabel="labelled cases", ylabel="evidence against mean loss <= 0.15")
axes.legend(loc=(0.02, 0.5))
figure.savefig("loss_monitor.png", dpi=140)
