from .audit import AuditEntry
from .dataset import Dataset, LabelClass
from .image import Image, ImageSource
from .importing import ImportJob, ImportRemark
from .label import Label
from .region import Region
from .user import User

__all__ = [
    "AuditEntry",
    "Dataset",
    "Image",
    "ImageSource",
    "ImportJob",
    "ImportRemark",
    "Label",
    "LabelClass",
    "Region",
    "User",
]
