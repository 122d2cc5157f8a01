from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from annotation.choices import ImportLayout
from annotation.models import Dataset


class StyledForm(forms.Form):
    """Widgets in the design system's own classes."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            css = "form-select" if isinstance(field.widget, forms.Select) else "form-control"
            field.widget.attrs.setdefault("class", css)


class ManyFilesInput(forms.FileInput):
    allow_multiple_selected = True


class ManyFilesField(forms.FileField):
    """One file or several; cleans to a list."""

    widget = ManyFilesInput

    def clean(self, data: object, initial: object = None) -> list[UploadedFile]:
        files = data if isinstance(data, list | tuple) else [data] if data else []
        if not files:
            super().clean(None, initial)  # says that it is required
        return [file for one in files if (file := super(ManyFilesField, self).clean(one, initial))]


class NewDatasetForm(StyledForm):
    name = forms.CharField(label=_("Name"), max_length=120, help_text=_("The product and surface it shows."))
    description = forms.CharField(label=_("Description"), required=False, widget=forms.Textarea({"rows": 2}))
    archive = forms.FileField(
        label=_("Images as a ZIP"),
        required=False,
        allow_empty_file=True,
        widget=forms.FileInput({"accept": ".zip,application/zip"}),
        help_text=_("Now or later. Leave empty to begin with no images."),
    )
    layout = forms.ChoiceField(
        label=_("How the ZIP says what is good"), choices=ImportLayout, required=False, initial="auto"
    )


class ImportForm(StyledForm):
    files = ManyFilesField(
        label=_("A ZIP, or single images"),
        allow_empty_file=True,
        widget=ManyFilesInput({"accept": ".zip,.jpg,.jpeg,.png,.bmp,.tif,.tiff,.webp"}),
    )
    layout = forms.ChoiceField(
        label=_("How the ZIP says what is good"), choices=ImportLayout, required=False, initial="auto"
    )


class DatasetForm(StyledForm):
    name = forms.CharField(label=_("Name"), max_length=120)
    description = forms.CharField(label=_("Description"), required=False, widget=forms.Textarea({"rows": 2}))


class ClassForm(StyledForm):
    name = forms.CharField(label=_("Name"), max_length=60)


class DeleteForm(StyledForm):
    """Deleting takes the dataset's name, typed."""

    name = forms.CharField(
        label=_("Type the dataset's name"), widget=forms.TextInput({"autocomplete": "off"})
    )

    def __init__(self, *args, dataset: Dataset, **kwargs) -> None:
        self.dataset = dataset
        super().__init__(*args, **kwargs)

    def clean_name(self) -> str:
        if self.cleaned_data["name"] != self.dataset.name:
            raise forms.ValidationError(_("That is not the dataset's name. Nothing was deleted."))
        return self.cleaned_data["name"]
