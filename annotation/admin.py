"""People, and a look at the records. Images and labels change on their own pages, which keep the history."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from .models import AuditEntry, Dataset, Image, ImportJob, Label, Region, User
from .services import audit

admin.site.site_header = admin.site.site_title = _("Inspection: administration")
# Rights come from the role alone.
admin.site.unregister(Group)


class ReadOnly:
    """To look at: these rows are made and changed by the program alone."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnly, admin.ModelAdmin):
    pass


@admin.register(User)
class PeopleAdmin(UserAdmin):
    list_display = ["username", "role", "email", "is_active", "last_login"]
    list_filter = ["role", "is_active"]
    fieldsets = [
        (None, {"fields": ["username", "password", "role", "is_active"]}),
        (_("About"), {"fields": ["first_name", "last_name", "email", "last_login", "date_joined"]}),
    ]
    add_fieldsets = [
        (
            None,
            {
                "classes": ["wide"],
                "fields": ["username", "role", "usable_password", "password1", "password2"],
            },
        )
    ]
    readonly_fields = ["last_login", "date_joined"]
    filter_horizontal = []

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        details = {
            name: str(form.cleaned_data.get(name)) for name in form.changed_data if "password" not in name
        }
        action = "user.changed" if change else "user.created"
        audit.record(actor=request.user, action=action, target=obj, details=details)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "actor", "action", "target_label", "target_type"]
    list_filter = ["action", "target_type"]
    search_fields = ["target_label", "actor__username"]
    list_select_related = ["actor"]
    date_hierarchy = "at"


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    list_display = ["name", "slug", "is_synthetic", "created_at", "created_by"]
    list_select_related = ["created_by"]


@admin.register(Image)
class ImageAdmin(ReadOnlyAdmin):
    list_display = ["id", "name", "dataset", "current_class", "is_disputed", "height", "width", "added_at"]
    list_filter = ["dataset", "is_disputed"]
    list_select_related = ["dataset", "current_class"]
    search_fields = ["name", "sha256"]


@admin.register(Label)
class LabelAdmin(ReadOnlyAdmin):
    list_display = ["id", "image", "label_class", "author", "how", "is_adjudication", "created_at"]
    list_filter = ["how", "is_adjudication"]
    list_select_related = ["image", "label_class", "author"]


@admin.register(Region)
class RegionAdmin(ReadOnlyAdmin):
    list_display = ["dataset", "view", "version", "top", "left", "height", "width", "author", "created_at"]
    list_select_related = ["dataset", "author"]


@admin.register(ImportJob)
class ImportJobAdmin(ReadOnlyAdmin):
    list_display = ["id", "dataset", "source_name", "state", "files_done", "files_total", "created_at"]
    list_filter = ["state"]
    list_select_related = ["dataset"]
