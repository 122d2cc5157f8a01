from django.urls import path

from .views import datasets, files, gallery, images, imports

urlpatterns = [
    path("datasets/", datasets.datasets, name="datasets"),
    path("datasets/new/", datasets.dataset_new, name="dataset_new"),
    path("datasets/<slug:slug>/", gallery.dataset, name="dataset"),
    path("datasets/<slug:slug>/label/", gallery.dataset_label, name="dataset_label"),
    path("datasets/<slug:slug>/settings/", datasets.dataset_settings, name="dataset_settings"),
    path("datasets/<slug:slug>/classes/", datasets.class_new, name="class_new"),
    path("datasets/<slug:slug>/classes/<int:number>/", datasets.class_rename, name="class_rename"),
    path("datasets/<slug:slug>/delete/", datasets.dataset_delete, name="dataset_delete"),
    path("datasets/<slug:slug>/import/", imports.imports, name="imports"),
    path("datasets/<slug:slug>/imports/<int:job_id>/", imports.import_job, name="import"),
    path("datasets/<slug:slug>/imports/<int:job_id>/repeat/", imports.import_repeat, name="import_repeat"),
    path("images/<int:image_id>/", images.image, name="image"),
    path("images/<int:image_id>/label/", images.image_label, name="image_label"),
    path("images/<int:image_id>/file/", files.image_file, name="image_file"),
    path("images/<int:image_id>/thumbnail/", files.image_thumbnail, name="image_thumbnail"),
    path("media/<path:path>", files.media, name="media"),
]
