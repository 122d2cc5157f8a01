from .audit import AuditEntry
from .dataset import NG_CLASS_NAME, OK_CLASS_NAME, Dataset, LabelClass
from .image import Image, ImageSource
from .importing import ImportJob, ImportRemark
from .label import Label
from .region import Region
from .user import User

__all__ = [
    "NG_CLASS_NAME",
    "OK_CLASS_NAME",
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
