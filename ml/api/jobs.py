"""Training jobs: list, one, queue, cancel, resume."""

from typing import Any

from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from annotation.choices import Role
from annotation.models import Dataset
from ml import events
from ml.choices import JobState
from ml.methods.declarations import METHODS
from ml.models import FoldFit, ModelVersion, TrainingJob
from ml.selectors import jobs as job_rows
from ml.selectors.images import counts_of_dataset
from ml.services import jobs
from ml.services.memory import tell_memory
from ml.services.repeating import queue_like
from ml.tasks import ask_for_training


class JobSerializer(serializers.ModelSerializer):
    dataset = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    snapshot = serializers.CharField(source="snapshot.sha256", read_only=True)
    ok_count = serializers.IntegerField(source="snapshot.ok_count", read_only=True)
    ng_count = serializers.IntegerField(source="snapshot.ng_count", read_only=True)
    created_by = serializers.SlugRelatedField(slug_field="username", read_only=True)
    model_version = serializers.SerializerMethodField()

    class Meta:
        model = TrainingJob
        fields = [
            "id", "dataset", "snapshot", "ok_count", "ng_count", "method", "preset", "parameters", "folds",
            "seed", "state", "progress", "stage_text", "error", "attempts", "is_cancel_requested", "worker",
            "created_at", "started_at", "finished_at", "created_by", "model_version",
        ]  # fmt: skip
        read_only_fields = fields

    def get_model_version(self, job: TrainingJob) -> int | None:
        version = getattr(job, "model_version", None)
        return version and version.pk


class FoldSerializer(serializers.ModelSerializer):
    class Meta:
        model = FoldFit
        fields = ["fold", "state", "progress", "stage_text", "attempts", "worker"]
        read_only_fields = fields


class JobDetailSerializer(JobSerializer):
    curves = serializers.SerializerMethodField(help_text="{series: [[step, value], …]}")
    fold_fits = FoldSerializer(many=True, read_only=True, help_text="Empty without cross-validation.")

    class Meta(JobSerializer.Meta):
        fields = [*JobSerializer.Meta.fields, "fold_fits", "curves", "log"]
        read_only_fields = fields

    def get_curves(self, job: TrainingJob) -> dict[str, list[list[float]]]:
        return events.job_curves(job)


class NewJobSerializer(serializers.Serializer):
    dataset = serializers.SlugRelatedField(slug_field="slug", queryset=Dataset.objects.all())
    method = serializers.ChoiceField([(name, one.title) for name, one in METHODS.items()])
    preset = serializers.CharField(
        required=False, default="", allow_blank=True, help_text="Empty: the method's defaults."
    )
    parameters = serializers.DictField(
        child=serializers.JSONField(),
        required=False,
        default=dict,
        help_text="Those that differ from the preset.",
    )
    folds = serializers.IntegerField(
        required=False, default=0, min_value=0, max_value=20, help_text="0: one grouped hold-out split."
    )
    seed = serializers.IntegerField(required=False, default=0, min_value=0, max_value=2**31 - 1)


class JobLikeSerializer(serializers.Serializer):
    model_version = serializers.PrimaryKeyRelatedField(queryset=ModelVersion.objects.all())
    dataset = serializers.SlugRelatedField(
        slug_field="slug",
        queryset=Dataset.objects.all(),
        required=False,
        help_text="Left out: the very images, labels and split that the model was trained on.",
    )


class JobMemorySerializer(serializers.Serializer):
    training_bytes = serializers.IntegerField(
        source="estimate.training",
        default=None,
        allow_null=True,
        help_text="At its peak, in float32; null for a method that nobody has measured.",
    )
    serving_bytes = serializers.IntegerField(
        source="estimate.serving",
        default=None,
        allow_null=True,
        help_text="Of a process that serves the model.",
    )
    limit_bytes = serializers.IntegerField(source="limit", help_text="That a training may take.")
    refusal = serializers.CharField(help_text="Why it would not be queued, with a size that fits; or empty.")


class JobFilter(filters.FilterSet):
    dataset = filters.CharFilter(field_name="dataset__slug")
    state = filters.ChoiceFilter(choices=JobState.choices)

    class Meta:
        model = TrainingJob
        fields = ["dataset", "state", "method"]


class JobViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet):
    """Training jobs, newest first."""

    queryset = TrainingJob.objects.all()
    serializer_class = JobSerializer
    filterset_class = JobFilter
    write_role = Role.QUALITY

    def get_queryset(self) -> Any:
        is_list = self.action == "list"
        return job_rows.jobs_for_list() if is_list else job_rows.jobs_for_detail()

    def get_serializer_class(self) -> type[serializers.BaseSerializer]:
        return JobDetailSerializer if self.action == "retrieve" else self.serializer_class

    @extend_schema(request=NewJobSerializer, responses={201: JobSerializer})
    def create(self, request: Request) -> Response:
        """Queue a training. 409 where the dataset has too few images for the method, with both counts."""
        asked = NewJobSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        job = jobs.queue_job(author=request.user, **asked.validated_data)
        ask_for_training(job)
        return Response(JobSerializer(job).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=NewJobSerializer, responses={200: JobMemorySerializer})
    @action(detail=False, methods=["post"])
    def memory(self, request: Request) -> Response:
        """What memory such a training would take, before it is queued. Queues nothing."""
        asked = NewJobSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        declaration = jobs.find_method(given["method"])
        parameters = jobs.validate_parameters(declaration, given["preset"], given["parameters"])
        counts = counts_of_dataset(given["dataset"])
        answer = tell_memory(declaration, parameters, images=counts.ok + counts.ng)
        return Response(JobMemorySerializer(answer).data)

    @extend_schema(request=JobLikeSerializer, responses={201: JobSerializer})
    @action(detail=False, methods=["post"])
    def like(self, request: Request) -> Response:
        """Train a model again from its card. 409 where the card was edited or its snapshot is unknown."""
        asked = JobLikeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        job = queue_like(version=given["model_version"], dataset=given.get("dataset"), author=request.user)
        ask_for_training(job)
        return Response(JobSerializer(job).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Stop a job. Its checkpoint is kept: it can be resumed."""
        return Response(JobSerializer(jobs.cancel_job(job=self.get_object(), actor=request.user)).data)

    @extend_schema(request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str) -> Response:
        """Queue a cancelled or failed job again; it goes on from its checkpoint."""
        job = jobs.resume_job(job=self.get_object(), actor=request.user)
        ask_for_training(job)
        return Response(JobSerializer(job).data)
