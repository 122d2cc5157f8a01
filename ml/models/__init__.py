from .job import TrainingJob
from .operating_point import OperatingPoint
from .snapshot import Snapshot
from .version import ImageScore, ModelVersion

__all__ = ["ImageScore", "ModelVersion", "OperatingPoint", "Snapshot", "TrainingJob"]
