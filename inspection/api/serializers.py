from typing import Any

from django.utils.text import slugify
from rest_framework import serializers

from annotation.models import LabelClass
from inspection.bus import liveness
from inspection.choices import Verdict
from inspection.events import PartJudged
from inspection.models import Alarm, Deployment, Disposition, Line, Part, Station
from inspection.services.line_settings import replace_stations
from ml.models import OperatingPoint


class StationSerializer(serializers.ModelSerializer):
    source_settings = serializers.DictField(
        child=serializers.JSONField(),
        required=False,
        help_text='replay: {"dataset": slug, "parts_per_second": number}; folder: {"path": text}; push: {}',
    )

    class Meta:
        model = Station
        fields = ["name", "position", "source", "source_settings"]


class PlcStatusSerializer(serializers.Serializer):
    is_connected = serializers.BooleanField()
    is_heartbeat_missing = serializers.BooleanField()
    trigger_sequence = serializers.IntegerField(allow_null=True)
    result_sequence = serializers.IntegerField(allow_null=True)
    missed = serializers.IntegerField()


class LineStatusSerializer(serializers.Serializer):
    """What a running line says of itself."""

    started_at = serializers.DateTimeField()
    state = serializers.CharField()
    deployment = serializers.IntegerField(allow_null=True)
    model_version = serializers.IntegerField(allow_null=True)
    engine = serializers.CharField()
    waiting = serializers.IntegerField()
    unstored = serializers.IntegerField()
    delivery_error = serializers.CharField()
    plc = PlcStatusSerializer(allow_null=True)


class LineSerializer(serializers.ModelSerializer):
    slug = serializers.SlugField(read_only=True)
    stations = StationSerializer(many=True)
    is_running = serializers.SerializerMethodField()
    status = serializers.SerializerMethodField()

    class Meta:
        model = Line
        fields = [
            "name", "slug", "is_simulated", "part_rule", "trigger_mode", "deadline_ms", "queue_depth",
            "keep_evidence_parts", "plc_profile", "plc_host", "plc_port", "plc_unit", "plc_base_to",
            "plc_base_from", "plc_is_high_word_first", "plc_poll_ms", "plc_timeout_ms", "plc_heartbeat_ms",
            "plc_watch_ms", "plc_output", "plc_output_address", "plc_pulse_ms", "created_at", "stations",
            "is_running", "status",
        ]  # fmt: skip
        extra_kwargs = {
            "deadline_ms": {"min_value": 1, "max_value": 600_000},
            "queue_depth": {"min_value": 1},
        }

    def validate_stations(self, stations: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for field in ("name", "position"):
            values = [station.get(field, 0) for station in stations]
            if len(set(values)) != len(values):
                raise serializers.ValidationError(f"Two stations have the same {field}.")
        if not stations:
            raise serializers.ValidationError("A line needs at least one station.")
        return stations

    def validate_name(self, name: str) -> str:
        slug = self.instance.slug if self.instance else slugify(name)[:60]
        if not slug or slug == "new":
            raise serializers.ValidationError("Choose a name with letters or digits, other than “new”.")
        if Line.objects.filter(slug=slug).exclude(pk=self.instance.pk if self.instance else None).exists():
            raise serializers.ValidationError("A line with almost this name exists already.")
        return name

    def create(self, validated_data: dict[str, Any]) -> Line:
        stations = validated_data.pop("stations")
        line = Line.objects.create(slug=slugify(validated_data["name"])[:60], **validated_data)
        replace_stations(line=line, stations=stations)
        return line

    def update(self, line: Line, validated_data: dict[str, Any]) -> Line:
        stations = validated_data.pop("stations", None)
        line = super().update(line, validated_data)
        if stations is not None:
            replace_stations(line=line, stations=stations)
        return Line.objects.prefetch_related("stations").get(pk=line.pk)

    def get_is_running(self, line: Line) -> bool:
        return self._status(line) is not None

    def get_status(self, line: Line) -> LineStatusSerializer(allow_null=True):
        status = self._status(line)
        return LineStatusSerializer(status.to_dict()).data if status else None

    def _status(self, line: Line) -> liveness.LineStatus | None:
        known = self.context.setdefault("statuses", {})
        if line.slug not in known:
            known[line.slug] = liveness.line_status(line.slug)
        return known[line.slug]


class VerdictCountsSerializer(serializers.Serializer):
    ok = serializers.IntegerField()
    ng = serializers.IntegerField()
    review = serializers.IntegerField()
    error = serializers.IntegerField()
    yield_share = serializers.FloatField(allow_null=True, help_text="OK parts of all parts, 0 to 1.")


class LineSummarySerializer(serializers.Serializer):
    today = VerdictCountsSerializer(help_text="Since midnight in the plant's zone.")
    hour = VerdictCountsSerializer()
    parts_per_minute = serializers.IntegerField()
    latencies_ms = serializers.ListField(
        child=serializers.FloatField(), help_text="Trigger to result of the latest parts, oldest first."
    )


class ViewSerializer(serializers.Serializer):
    station = serializers.CharField()
    verdict = serializers.ChoiceField(Verdict.choices)
    score = serializers.FloatField(allow_null=True)
    error_code = serializers.IntegerField()
    error = serializers.CharField()
    defect_class = serializers.CharField()
    frame_name = serializers.CharField()
    frame_url = serializers.CharField(help_text="Empty where no image was kept.")
    map_url = serializers.CharField(
        help_text="8-bit grey PNG; 255 stands for `map_max`. Empty: none was kept."
    )
    map_max = serializers.FloatField()
    map_box = serializers.ListField(
        child=serializers.IntegerField(), help_text="Top, left, height, width that the map covers, px."
    )
    closest_ok_url = serializers.CharField(
        help_text="The OK training image that the view looks most like. Empty: the method does not tell."
    )


class PartSerializer(serializers.Serializer):
    """A judged part, in the same shape as the live event `part_judged`."""

    line = serializers.CharField()
    sequence = serializers.IntegerField()
    trigger_sequence = serializers.IntegerField(allow_null=True)
    origin = serializers.CharField()
    serial = serializers.CharField()
    lot = serializers.CharField()
    verdict = serializers.ChoiceField(Verdict.choices, help_text="What the part counts as.")
    judged_verdict = serializers.ChoiceField(Verdict.choices, help_text="As judged, also when too late.")
    given = serializers.CharField(help_text="What the PLC was told; empty where nothing was.")
    error_code = serializers.IntegerField()
    error = serializers.CharField()
    score = serializers.FloatField(allow_null=True)
    ng_at = serializers.FloatField(allow_null=True)
    review_from = serializers.FloatField(allow_null=True)
    defect_class = serializers.CharField()
    deployment = serializers.IntegerField(allow_null=True)
    model_version = serializers.IntegerField(allow_null=True)
    captured_at = serializers.DateTimeField()
    judged_at = serializers.DateTimeField()
    total_ms = serializers.FloatField()
    judge_ms = serializers.FloatField()
    url = serializers.CharField()
    views = ViewSerializer(many=True)

    def to_representation(self, part: Part) -> dict[str, Any]:
        shown = PartJudged.of(part, part.views.all()).to_json()
        shown.pop("type")
        return shown


class DispositionSerializer(serializers.ModelSerializer):
    author = serializers.SlugRelatedField(slug_field="username", read_only=True)
    label_class = serializers.SlugRelatedField(slug_field="name", read_only=True)

    class Meta:
        model = Disposition
        fields = ["id", "verdict", "label_class", "note", "author", "created_at"]


class NewDispositionSerializer(serializers.Serializer):
    verdict = serializers.ChoiceField([(Verdict.OK, "OK"), (Verdict.NG, "NG")])
    label_class = serializers.CharField(
        required=False,
        allow_null=True,
        default=None,
        help_text="Name of a defect class of the part's dataset.",
    )
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=400)

    def validate_label_class(self, name: str | None) -> LabelClass | None:
        if not name:
            return None
        found = LabelClass.objects.filter(dataset__in=self.context["datasets"], name=name).first()
        if found is None:
            raise serializers.ValidationError(f"There is no class “{name}” for this part.")
        return found


class PartDetailSerializer(PartSerializer):
    score_rank = serializers.IntegerField(help_text="0 to 10000, among the scores of OK training images.")
    durations_ms = serializers.DictField(child=serializers.FloatField())
    hash = serializers.CharField()
    previous_hash = serializers.CharField()
    dispositions = DispositionSerializer(many=True)

    def to_representation(self, part: Part) -> dict[str, Any]:
        return {
            **super().to_representation(part),
            "score_rank": part.score_rank,
            "durations_ms": part.durations_ms,
            "hash": part.hash,
            "previous_hash": part.previous_hash,
            "dispositions": DispositionSerializer(part.dispositions.all(), many=True).data,
        }


class DeploymentSerializer(serializers.ModelSerializer):
    line = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    model_version = serializers.IntegerField(source="operating_point.model_version_id", read_only=True)
    ng_at = serializers.FloatField(source="operating_point.ng_at", read_only=True)
    review_from = serializers.FloatField(
        source="operating_point.review_from", read_only=True, allow_null=True
    )
    created_by = serializers.SlugRelatedField(slug_field="username", read_only=True)

    class Meta:
        model = Deployment
        fields = [
            "id", "line", "operating_point", "model_version", "ng_at", "review_from", "state", "engine",
            "error", "created_by", "created_at", "live_at", "ended_at",
        ]  # fmt: skip
        read_only_fields = fields


class NewDeploymentSerializer(serializers.Serializer):
    line = serializers.SlugRelatedField(slug_field="slug", queryset=Line.objects.all())
    operating_point = serializers.PrimaryKeyRelatedField(
        queryset=OperatingPoint.objects.select_related("model_version__dataset")
    )


class NewDeploymentAnswerSerializer(DeploymentSerializer):
    outlook = serializers.CharField(read_only=True, help_text="What happens next, in words.")

    class Meta(DeploymentSerializer.Meta):
        fields = [*DeploymentSerializer.Meta.fields, "outlook"]
        read_only_fields = fields


class AlarmSerializer(serializers.ModelSerializer):
    line = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    acknowledged_by = serializers.SlugRelatedField(slug_field="username", read_only=True, allow_null=True)

    class Meta:
        model = Alarm
        fields = ["id", "line", "code", "message", "raised_at", "cleared_at", "acknowledged_by"]


class FrameSerializer(serializers.Serializer):
    image = serializers.FileField()
    trigger_sequence = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=65535,
        help_text="The PLC's trigger, where the camera knows it.",
    )


class InspectSerializer(serializers.Serializer):
    image = serializers.FileField(
        required=False, help_text="The image of the line's first station; other stations' under their names."
    )
    serial = serializers.CharField(required=False, allow_blank=True, max_length=40, default="")


class InspectedViewSerializer(serializers.Serializer):
    station = serializers.CharField()
    verdict = serializers.ChoiceField(Verdict.choices)
    score = serializers.FloatField(allow_null=True)
    error = serializers.CharField()
    frame_url = serializers.CharField()
    map_url = serializers.CharField()
    map_max = serializers.FloatField(allow_null=True)
    map_box = serializers.ListField(child=serializers.IntegerField())


class InspectionSerializer(serializers.Serializer):
    line = serializers.CharField()
    sequence = serializers.IntegerField()
    url = serializers.CharField()
    serial = serializers.CharField()
    verdict = serializers.ChoiceField(Verdict.choices)
    score = serializers.FloatField(allow_null=True)
    threshold = serializers.FloatField(allow_null=True, help_text="A score at or above this is NG.")
    review_from = serializers.FloatField(allow_null=True)
    error_code = serializers.IntegerField()
    error = serializers.CharField()
    defect_class = serializers.CharField()
    deployment = serializers.IntegerField(allow_null=True)
    model_version = serializers.IntegerField(allow_null=True)
    judge_ms = serializers.FloatField()
    views = InspectedViewSerializer(many=True)
