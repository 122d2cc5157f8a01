"""Forms of the training pages. A method declares its parameters once; form fields are made from that."""

from collections.abc import Mapping
from typing import Any, cast

from django import forms
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from annotation.models import Dataset
from ml.choices import DiscoveryAmong
from ml.methods.declarations import METHODS, MethodDeclaration
from ml.models import Discovery, ModelVersion, OperatingPoint
from ml.selectors.discoveries import types_to_keep
from ml.thresholds import ThresholdRule

MAX_SEED = 2**31 - 1


def _select(**attributes: str) -> forms.Select:
    return forms.Select(attrs={"class": "form-select", **attributes})


class NewJobForm(forms.Form):
    """What to train on, with which method, measured how."""

    dataset = forms.ModelChoiceField(
        Dataset.objects.order_by("name"), to_field_name="slug", label=_("Dataset"), widget=_select()
    )
    method = forms.ChoiceField(label=_("Method"), widget=forms.RadioSelect)
    preset = forms.ChoiceField(label=_("Preset"), required=False, widget=_select())
    folds = forms.TypedChoiceField(
        label=_("Measured by"),
        coerce=int,
        initial=0,
        choices=[
            (0, _("One split: about 30 % of the parts held out")),
            *((count, _("Cross-validation, %(count)d folds") % {"count": count}) for count in (3, 5, 10)),
        ],
        help_text=_(
            "Parts never appear on both sides. Cross-validation trains once a fold, then once on all."
        ),
        widget=_select(),
    )
    seed = forms.IntegerField(
        label=_("Seed"),
        initial=0,
        min_value=0,
        max_value=MAX_SEED,
        help_text=_("The same seed on the same data gives the same model."),
        widget=forms.NumberInput(attrs={"class": "form-control"}),
    )

    def __init__(self, *args: Any, declaration: MethodDeclaration, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["method"].choices = [(name, one.title) for name, one in METHODS.items()]
        self.fields["preset"].choices = [
            ("", _("The method's defaults")),
            *((name, name.capitalize()) for name in declaration.presets),
        ]


class ParametersForm(forms.Form):
    """A method's parameters: kinds, ranges, units and texts from its JSON schema, values from a preset.

    It only collects; whether the values are right is the method's pydantic model to say.
    """

    def __init__(self, *args: Any, declaration: MethodDeclaration, preset: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("prefix", "parameter")
        super().__init__(*args, **kwargs)
        schema = declaration.Parameters.model_json_schema()["properties"]
        values = declaration.presets[preset].model_dump() if preset in declaration.presets else {}
        for name, entry in schema.items():
            self.fields[name] = _field(name, entry, values.get(name, entry.get("default")))
        self._is_basic = {name: entry.get("basic", False) for name, entry in schema.items()}

    @property
    def basic(self) -> list[forms.BoundField]:
        return [self[name] for name, is_basic in self._is_basic.items() if is_basic]

    @property
    def advanced(self) -> list[forms.BoundField]:
        return [self[name] for name, is_basic in self._is_basic.items() if not is_basic]

    @property
    def has_advanced_errors(self) -> bool:
        return any(field.errors for field in self.advanced)

    def given(self) -> dict[str, Any]:
        """The values that were filled in; an empty field leaves the preset's."""
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}

    def add_parameter_errors(self, errors: Mapping[str, str]) -> list[str]:
        """Puts each error beside its field; gives back those that belong to none."""
        elsewhere = []
        for name, text in errors.items():
            if name in self.fields:
                self.add_error(name, text)
            else:
                elsewhere.append(f"{name}: {text}")
        return elsewhere


def _field(name: str, entry: Mapping[str, Any], value: Any) -> forms.Field:
    unit = f" [{entry['unit']}]" if "unit" in entry else ""
    common: dict[str, Any] = {
        "label": name.replace("_", " ").capitalize() + unit,
        "initial": value,
        "required": False,
        "help_text": " ".join(filter(None, [entry.get("description", ""), _range_text(entry)])),
    }
    if "enum" in entry:
        return forms.ChoiceField(choices=[(one, one) for one in entry["enum"]], widget=_select(), **common)
    kind = entry.get("type")
    if kind == "boolean":
        return forms.BooleanField(widget=forms.CheckboxInput(attrs={"class": "form-check-input"}), **common)
    if kind == "integer":
        return forms.IntegerField(widget=_number(entry, step="1"), **common)
    if kind == "number":
        return forms.FloatField(widget=_number(entry, step="any"), **common)
    return forms.CharField(widget=forms.TextInput(attrs={"class": "form-control"}), **common)


def _number(entry: Mapping[str, Any], step: str) -> forms.NumberInput:
    attributes = {"class": "form-control", "step": step}
    for name, key in (("min", "minimum"), ("max", "maximum")):
        if key in entry:
            attributes[name] = entry[key]
    return forms.NumberInput(attrs=attributes)


def _range_text(entry: Mapping[str, Any]) -> str:
    """The range in words, as the schema has it; both ends need not be inclusive."""
    low = (
        _("from %s") % entry["minimum"]
        if "minimum" in entry
        else _("above %s") % entry["exclusiveMinimum"]
        if "exclusiveMinimum" in entry
        else ""
    )
    high = (
        _("up to %s") % entry["maximum"]
        if "maximum" in entry
        else _("below %s") % entry["exclusiveMaximum"]
        if "exclusiveMaximum" in entry
        else ""
    )
    range_text = " ".join(str(part) for part in (low, high) if part)
    return f"{range_text[0].upper()}{range_text[1:]}." if range_text else ""


class RuleForm(forms.Form):
    """A threshold rule's parameters, as its JSON schema has them. The tuner reads it; nothing posts it."""

    def __init__(self, rule: ThresholdRule) -> None:
        super().__init__(prefix=f"rule-{rule.name}")
        for name, entry in rule.Parameters.model_json_schema().get("properties", {}).items():
            self.fields[name] = _field(name, entry, entry["default"])
            unit = f" [{entry['unit']}]" if "unit" in entry else ""
            self.fields[name].label = f"{entry['title']}{unit}"
            self.fields[name].widget.attrs["data-parameter"] = name
            if "enum" in entry:
                self.fields[name].choices = [(one, one.replace("_", " ")) for one in entry["enum"]]


class DiscoveryForm(forms.Form):
    """Which images to find types of defects among."""

    among = forms.ChoiceField(choices=DiscoveryAmong.choices, label=_("Among"), widget=_select())
    dataset = forms.ModelChoiceField(
        Dataset.objects.order_by("name"), to_field_name="slug", label=_("Dataset"), widget=_select()
    )
    types = forms.IntegerField(
        label=_("Types"),
        required=False,
        min_value=2,
        max_value=50,
        help_text=_("Empty: as many as are best told apart."),
        widget=forms.NumberInput(attrs={"class": "form-control", "placeholder": _("automatic")}),
    )
    types_of = forms.ModelChoiceField(
        Discovery.objects.none(),
        label=_("Keep the types of"),
        required=False,
        empty_label=_("none: find them anew"),
        help_text=_("Sorts new images into types that were found before."),
        widget=_select(),
    )

    def __init__(self, *args: Any, version: ModelVersion, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kept = types_to_keep(version)
        field = cast("forms.ModelChoiceField", self.fields["types_of"])
        field.queryset = kept
        field.label_from_instance = lambda one: f"{localtime(one.created_at):%Y-%m-%d %H:%M} · {one.dataset}"
        if not kept.exists():
            del self.fields["types_of"]


class OperatingPointForm(forms.ModelForm):
    """A threshold, and why it is what it is."""

    class Meta:
        model = OperatingPoint
        fields = ["ng_at", "review_from", "reason"]
