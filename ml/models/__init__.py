from .discovery import Discovery
from .fold import FoldFit
from .job import TrainingJob
from .operating_point import OperatingPoint
from .serving import ServingMeasurement
from .snapshot import Snapshot
from .version import ImageScore, ModelVersion

__all__ = [
    "Discovery",
    "FoldFit",
    "ImageScore",
    "ModelVersion",
    "OperatingPoint",
    "ServingMeasurement",
    "Snapshot",
    "TrainingJob",
]
