import pytest
from django.contrib import admin
from django.urls import reverse

from annotation.choices import Role
from annotation.models import AuditEntry, User

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("role", ["operator", "quality", "engineer"])
def test_only_administrators_get_in(client, people, role):
    client.force_login(people[role])
    assert client.get(reverse("admin:index")).status_code == 302


def test_every_list_opens(client, people):
    client.force_login(people["admin"])
    for model in admin.site._registry:
        if model._meta.app_label in {"annotation", "ml", "inspection"}:
            url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
            assert client.get(url).status_code == 200, url


def test_an_administrator_adds_a_person_with_a_role_and_it_is_in_the_audit(client, people):
    client.force_login(people["admin"])
    form = {
        "username": "new-operator",
        "role": "operator",
        "usable_password": "true",
        "password1": "correct horse battery",
        "password2": "correct horse battery",
    }
    answer = client.post(reverse("admin:annotation_user_add"), form)
    assert answer.status_code == 302, answer.context["errors"]
    assert User.objects.get(username="new-operator").role == Role.OPERATOR
    entry = AuditEntry.objects.get(action="user.created")
    assert entry.actor == people["admin"]
    assert "correct" not in str(entry.details)


def test_a_person_who_is_no_administrator_any_more_loses_the_administration(people):
    person = people["admin"]
    person.role = Role.QUALITY
    person.save()
    person.refresh_from_db()
    assert not person.is_staff
    assert not person.is_superuser


def test_the_audit_cannot_be_changed(client, people):
    client.force_login(people["admin"])
    entry = AuditEntry.objects.create(action="x", target_type="x", target_id="1", target_label="x")
    assert client.post(reverse("admin:annotation_auditentry_delete", args=[entry.pk])).status_code == 403
    assert client.post(reverse("admin:annotation_auditentry_change", args=[entry.pk])).status_code == 403
