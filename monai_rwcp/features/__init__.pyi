from .cached import CachedFeatures as CachedFeatures
from .exported import ExportedFeatures as ExportedFeatures
from .foundation import FoundationFeatures as FoundationFeatures
from .mind import MINDFeatures as MINDFeatures
from .network import NetworkFeatures as NetworkFeatures
from .protocol import FeatureExtractor as FeatureExtractor
