"""A promise that counts lesions."""

from docs.gallery.lesions import lesion_patient
from monai_rwcp import LossTable, calibrate
from monai_rwcp.conformal import InstanceFalseNegativeRate, case_loss_table, prediction_set
from monai_rwcp.report import plot_prediction_set

patients = {f"patient {i}": lesion_patient(i) for i in range(60)}
image, score, label = lesion_patient(64)
# shown
half = InstanceFalseNegativeRate(0.5)
tables = [case_loss_table(s, true, loss=half, unit=name) for name, (_, s, true) in patients.items()]
calibration = calibrate(LossTable.join(tables), alpha=0.1, class_names=("background", "lesion"))
found = prediction_set(score, calibration)[1]
axes = plot_prediction_set(image, found, label[0])
# to here
axes.figure.savefig("lesions.png", dpi=140)
