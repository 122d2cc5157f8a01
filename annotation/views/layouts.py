"""The layouts of a ZIP, explained where somebody has to choose one."""

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from annotation.choices import ImportLayout


@dataclass(frozen=True)
class LayoutHelp:
    layout: ImportLayout
    text: Promise
    example: str


LAYOUTS: Final = [
    LayoutHelp(ImportLayout.AUTO, _("Looks for the layouts below and says which it found, and why."), ""),
    LayoutHelp(
        ImportLayout.CSV,
        _("A table beside the images. Columns file and label (OK, NG or a class name); class, item, view, "
          "mask and sha256 as wanted."),
        "labels.csv\nkos01/Part0.jpg\nkos01/Part1.jpg",
    ),
    LayoutHelp(
        ImportLayout.KOLEKTOR,
        _("As KolektorSDD comes: a mask beside an image says where it is defective, if it is."),
        "kos01/Part0.jpg\nkos01/Part0_label.bmp",
    ),
    LayoutHelp(
        ImportLayout.MVTEC,
        _("As MVTec AD comes: good and defect folders below train and test."),
        "train/good/000.png\ntest/crack/000.png",
    ),
    LayoutHelp(
        ImportLayout.FOLDERS,
        _("The folder's name is the class; good, ok and free are OK. Images outside any folder come in "
          "unlabelled."),
        "good/001.png\ncrack/001.png",
    ),
    LayoutHelp(
        ImportLayout.PLAIN,
        _("Every image comes in unlabelled, whatever its folder: label them in the gallery."),
        "001.png\n002.png",
    ),
]  # fmt: skip
