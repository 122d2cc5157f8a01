from .audit import AuditEntry
from .dataset import Dataset, LabelClass
from .image import Image, ImageSource
from .importing import ImportJob
from .label import Label
from .region import Region
from .user import User

__all__ = [
    "AuditEntry",
    "Dataset",
    "Image",
    "ImageSource",
    "ImportJob",
    "Label",
    "LabelClass",
    "Region",
    "User",
]
