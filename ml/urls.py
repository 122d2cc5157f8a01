from django.urls import path

from .views import discovery, memory, new_job, serving, training, versions

urlpatterns = [
    path("training/", training.training_jobs, name="training_jobs"),
    path("training/new/", new_job.training_new, name="training_new"),
    path("training/new/needs/", new_job.training_needs, name="training_needs"),
    path("training/new/memory/", memory.training_memory, name="training_memory"),
    path("training/new/parameters/", new_job.training_parameters, name="training_parameters"),
    path("training/<int:job_id>/", training.training_job, name="training_job"),
    path("training/<int:job_id>/cancel/", training.training_cancel, name="training_cancel"),
    path("training/<int:job_id>/resume/", training.training_resume, name="training_resume"),
    path("models/", versions.model_versions, name="model_versions"),
    path("models/<int:version_id>/", versions.model_version, name="model_version"),
    path("models/<int:version_id>/stage/", versions.model_stage, name="model_stage"),
    path("models/<int:version_id>/serving/", serving.model_serving, name="model_serving"),
    path("models/<int:version_id>/measure/", serving.model_measure, name="model_measure"),
    path(
        "models/<int:version_id>/operating-points/",
        versions.operating_point_new,
        name="operating_point_new",
    ),
    path("models/<int:version_id>/discoveries/", discovery.discovery_new, name="discovery_new"),
    path("models/discoveries/<int:discovery_id>/", discovery.discovery_state, name="discovery_state"),
    path(
        "models/discoveries/<int:discovery_id>/cancel/", discovery.discovery_cancel, name="discovery_cancel"
    ),
]
