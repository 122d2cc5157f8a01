from django.urls import path

from .datasets import ClassDetail, ClassList, DatasetDetail, DatasetList, RegionList
from .images import ImageDetail, ImageList
from .imports import ImportDetail, ImportList, RemarkList
from .labels import BulkLabels, BulkUndo, LabelList

urlpatterns = [
    path("datasets/", DatasetList.as_view(), name="api_datasets"),
    path("datasets/<slug:slug>/", DatasetDetail.as_view(), name="api_dataset"),
    path("datasets/<slug:slug>/images/", ImageList.as_view(), name="api_dataset_images"),
    path("datasets/<slug:slug>/labels/", BulkLabels.as_view(), name="api_dataset_labels"),
    path("datasets/<slug:slug>/labels/undo/", BulkUndo.as_view(), name="api_dataset_labels_undo"),
    path("datasets/<slug:slug>/classes/", ClassList.as_view(), name="api_classes"),
    path("datasets/<slug:slug>/classes/<int:number>/", ClassDetail.as_view(), name="api_class"),
    path("datasets/<slug:slug>/regions/", RegionList.as_view(), name="api_regions"),
    path("datasets/<slug:slug>/imports/", ImportList.as_view(), name="api_imports"),
    path("datasets/<slug:slug>/imports/<int:pk>/", ImportDetail.as_view(), name="api_import"),
    path("datasets/<slug:slug>/imports/<int:pk>/remarks/", RemarkList.as_view(), name="api_import_remarks"),
    path("images/<int:pk>/", ImageDetail.as_view(), name="api_image"),
    path("images/<int:pk>/labels/", LabelList.as_view(), name="api_image_labels"),
]
