from .datalist import write_datalist as write_datalist
from .phantoms import CLASS_NAMES as CLASS_NAMES
from .phantoms import phantom_patient as phantom_patient
from .phantoms import write_cohort as write_cohort
from .training import FEATURE_LAYERS as FEATURE_LAYERS
from .training import build_network as build_network
from .training import image_preprocessing as image_preprocessing
from .training import train_network as train_network
