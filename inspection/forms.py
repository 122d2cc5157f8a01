from datetime import datetime, time
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.forms import inlineformset_factory
from django.forms.models import BaseInlineFormSet
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.models import Dataset, LabelClass
from inspection.choices import PlcProfile, SourceKind, TriggerMode, Verdict
from inspection.line.config import MAX_STATIONS
from inspection.models import Line, Part, Station
from inspection.services.dispositions import datasets_of
from inspection.services.lines import LineUnusable, check_watched_folder

_RESERVED_SLUGS = {"new"}


class Styled:
    """Bootstrap's classes on Django's widgets."""

    fields: dict[str, forms.Field]

    def style(self) -> None:
        for field in self.fields.values():
            widget = field.widget
            if isinstance(widget, forms.CheckboxInput):
                css = "form-check-input"
            elif isinstance(widget, forms.Select):
                css = "form-select"
            else:
                css = "form-control"
            widget.attrs.setdefault("class", css)


class PartSearchForm(Styled, forms.Form):
    text = forms.CharField(
        required=False, max_length=40, label=gettext_lazy("Serial, or #sequence"), strip=True
    )
    line = forms.ModelChoiceField(
        Line.objects.all(),
        required=False,
        to_field_name="slug",
        label=gettext_lazy("Line"),
        empty_label=gettext_lazy("Every line"),
    )
    verdict = forms.ChoiceField(
        required=False,
        label=gettext_lazy("Verdict"),
        choices=[("", gettext_lazy("Every verdict")), *Verdict.choices],
    )
    day = forms.DateField(
        required=False, label=gettext_lazy("Day"), widget=forms.DateInput(attrs={"type": "date"})
    )

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.style()

    def matching(self, parts: QuerySet[Part]) -> QuerySet[Part]:
        wanted = self.cleaned_data
        if text := wanted["text"]:
            number = text.removeprefix("#")
            is_number = number.isdecimal() and len(number) <= 18
            by_number = Q(sequence=int(number)) if is_number else Q()
            by_serial = Q() if text.startswith("#") else Q(serial__istartswith=text)
            parts = parts.filter(by_number | by_serial) if by_number or by_serial else parts.none()
        if wanted["line"]:
            parts = parts.filter(line=wanted["line"])
        if wanted["verdict"]:
            parts = parts.filter(verdict=wanted["verdict"])
        if wanted["day"]:
            zone = timezone.get_current_timezone()
            begins = datetime.combine(wanted["day"], time.min, zone)
            ends = datetime.combine(wanted["day"], time.max, zone)
            parts = parts.filter(judged_at__range=(begins, ends))
        return parts


class DispositionForm(Styled, forms.Form):
    verdict = forms.ChoiceField(
        label=gettext_lazy("This part is"),
        choices=[(Verdict.OK, "OK"), (Verdict.NG, "NG")],
        widget=forms.RadioSelect(attrs={"class": "form-selectgroup-input"}),
    )
    label_class = forms.ModelChoiceField(
        LabelClass.objects.none(),
        required=False,
        label=gettext_lazy("Defect type"),
        empty_label=gettext_lazy("Not said"),
    )
    note = forms.CharField(
        required=False, max_length=400, label=gettext_lazy("Note"), widget=forms.Textarea(attrs={"rows": 2})
    )

    def __init__(self, *args, part: Part, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        defects = LabelClass.objects.filter(dataset__in=datasets_of(part), number__gt=0)
        self.fields["label_class"].queryset = defects
        self.style()


class LineForm(Styled, forms.ModelForm):
    class Meta:
        model = Line
        fields = [
            "name",
            "is_simulated",
            "trigger_mode",
            "part_rule",
            "deadline_ms",
            "queue_depth",
            "keep_evidence_parts",
            "plc_profile",
            "plc_host",
            "plc_port",
            "plc_unit",
            "plc_base_to",
            "plc_base_from",
            "plc_is_high_word_first",
            "plc_poll_ms",
            "plc_timeout_ms",
            "plc_heartbeat_ms",
            "plc_watch_ms",
            "plc_output",
            "plc_output_address",
            "plc_pulse_ms",
        ]
        labels = {
            "is_simulated": gettext_lazy("Simulated: its parts are not real"),
            "trigger_mode": gettext_lazy("A part begins when"),
            "part_rule": gettext_lazy("The views make the part"),
            "deadline_ms": gettext_lazy("Deadline (ms)"),
            "queue_depth": gettext_lazy("Parts that may wait"),
            "keep_evidence_parts": gettext_lazy("Keep images of the latest parts"),
            "plc_profile": gettext_lazy("Profile"),
            "plc_host": gettext_lazy("Address"),
            "plc_port": gettext_lazy("Port"),
            "plc_unit": gettext_lazy("Unit id"),
            "plc_base_to": gettext_lazy("First register to the PLC"),
            "plc_base_from": gettext_lazy("First register from the PLC"),
            "plc_is_high_word_first": gettext_lazy("32-bit values: high word first"),
            "plc_poll_ms": gettext_lazy("Poll every (ms)"),
            "plc_timeout_ms": gettext_lazy("Timeout (ms)"),
            "plc_heartbeat_ms": gettext_lazy("Our heartbeat (ms)"),
            "plc_watch_ms": gettext_lazy("The PLC's heartbeat (ms)"),
            "plc_output": gettext_lazy("Output"),
            "plc_output_address": gettext_lazy("Output's address"),
            "plc_pulse_ms": gettext_lazy("Pulse (ms)"),
        }

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.style()

    def clean_name(self) -> str:
        name = self.cleaned_data["name"]
        slug = self.instance.slug or slugify(name)
        if not slug or slug in _RESERVED_SLUGS:
            raise forms.ValidationError(_("Choose a name with letters or digits, other than “new”."))
        if Line.objects.filter(slug=slug).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError(_("A line with almost this name exists already."))
        return name

    def clean_queue_depth(self) -> int:
        depth = self.cleaned_data["queue_depth"]
        if not 1 <= depth <= 1000:
            raise forms.ValidationError(_("Between 1 and 1000 parts may wait."))
        return depth

    def clean_deadline_ms(self) -> int:
        deadline_ms = self.cleaned_data["deadline_ms"]
        if not 1 <= deadline_ms <= 600_000:
            raise forms.ValidationError(_("The deadline must be between 1 ms and 10 minutes."))
        return deadline_ms

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        is_handshake = cleaned.get("plc_profile") == PlcProfile.HANDSHAKE
        is_triggered = cleaned.get("trigger_mode") == TriggerMode.PLC
        if is_triggered and not is_handshake:
            self.add_error("trigger_mode", _("Only a PLC with the handshake profile gives triggers."))
        if is_handshake and not is_triggered:
            self.add_error(
                "plc_profile",
                _("The handshake profile answers the PLC's triggers; let the PLC say when a part begins."),
            )
        return cleaned

    def save(self, commit: bool = True) -> Line:
        if not self.instance.slug:
            self.instance.slug = slugify(self.instance.name)[:60]
        return super().save(commit)


class StationForm(Styled, forms.ModelForm):
    dataset = forms.ModelChoiceField(
        Dataset.objects.all(),
        required=False,
        to_field_name="slug",
        label=gettext_lazy("Dataset to replay"),
        empty_label="–",
    )
    parts_per_second = forms.FloatField(
        required=False, min_value=0.01, max_value=1000, label=gettext_lazy("Parts a second")
    )
    folder = forms.CharField(required=False, max_length=400, label=gettext_lazy("Folder to watch"))

    class Meta:
        model = Station
        fields = ["name", "position", "source"]
        labels = {"position": gettext_lazy("Bit"), "source": gettext_lazy("Images come from")}
        help_texts = {"position": ""}

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        kept = self.instance.source_settings or {}
        self.fields["dataset"].initial = kept.get("dataset")
        self.fields["parts_per_second"].initial = kept.get("parts_per_second", 1.0)
        self.fields["folder"].initial = kept.get("path")
        self.style()

    def clean_name(self) -> str:
        name = self.cleaned_data["name"]
        if (
            self.instance.pk
            and name != self.instance.name
            and Part.objects.filter(views__station=self.instance).exists()
        ):
            raise forms.ValidationError(
                _("Parts were judged under the name %(name)s; it stays.") % {"name": self.instance.name}
            )
        return name

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        self._check_folder(cleaned)
        if cleaned.get("source") == SourceKind.REPLAY and not cleaned.get("dataset"):
            self.add_error("dataset", _("Choose the dataset whose images are replayed."))
        if cleaned.get("source") == SourceKind.FOLDER and not cleaned.get("folder"):
            self.add_error("folder", _("Say which folder the camera writes into."))
        return cleaned

    def _check_folder(self, cleaned: dict[str, Any]) -> None:
        if cleaned.get("source") != SourceKind.FOLDER or not cleaned.get("folder"):
            return
        try:
            check_watched_folder(cleaned["folder"])
        except LineUnusable as error:
            self.add_error("folder", str(error))

    def save(self, commit: bool = True) -> Station:
        cleaned = self.cleaned_data
        kept = dict(self.instance.source_settings or {})
        if cleaned["source"] == SourceKind.REPLAY:
            kept.update(dataset=cleaned["dataset"].slug, parts_per_second=cleaned["parts_per_second"] or 1.0)
        elif cleaned["source"] == SourceKind.FOLDER:
            kept.update(path=cleaned["folder"])
        self.instance.source_settings = kept
        return super().save(commit)


class Stations(BaseInlineFormSet):
    """At least one station, and none removed that judged parts."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        kept = [form for form in self.forms if form.has_changed() or form.instance.pk]
        removed = [form for form in kept if form.cleaned_data.get("DELETE")]
        if len(kept) == len(removed):
            raise forms.ValidationError(_("A line needs at least one station."))
        for form in removed:
            if Part.objects.filter(views__station=form.instance).exists():
                raise forms.ValidationError(
                    _("Station %(name)s has judged parts, so it can't be removed.")
                    % {"name": form.instance.name}
                )


StationFormSet = inlineformset_factory(
    Line,
    Station,
    form=StationForm,
    formset=Stations,
    extra=0,
    min_num=1,
    max_num=MAX_STATIONS,
    validate_max=True,
)
