from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

# (url name, text, icon, url names that make it the current one)
NAVIGATION = [
    ("overview", _("Overview"), "home", {"overview"}),
    ("lines", _("Lines"), "activity", {"lines", "line"}),
    ("parts", _("Parts"), "list-check", {"parts", "part"}),
    (
        "datasets",
        _("Datasets"),
        "photo",
        {"datasets", "dataset", "image", "import", "imports", "dataset_new", "dataset_settings"},
    ),
    ("training_jobs", _("Training"), "school", {"training_jobs", "training_job", "training_new"}),
    ("model_versions", _("Models"), "cube", {"model_versions", "model_version"}),
]


def navigation(request: HttpRequest) -> dict:
    current = request.resolver_match.url_name if request.resolver_match else ""
    return {
        "navigation": [
            {"url_name": name, "text": text, "icon": icon, "is_current": current in names}
            for name, text, icon, names in NAVIGATION
        ]
    }
