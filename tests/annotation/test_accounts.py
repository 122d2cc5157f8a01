import pytest
from django.urls import reverse
from knox.models import AuthToken

from annotation.choices import Role
from annotation.models import AuditEntry, User
from annotation.services import access

pytestmark = pytest.mark.django_db


def test_the_first_administrator_gets_a_random_password_that_is_told_once():
    admin, password = access.ensure_admin()
    assert admin.role == Role.ADMIN
    assert admin.check_password(password)
    assert access.ensure_admin() == (admin, None)


def test_a_link_logs_in_once_and_no_more(client, people):
    path = access.once_login_path(people["quality"])
    assert client.get(path).url == reverse("overview")
    assert client.session["_auth_user_id"] == str(people["quality"].pk)
    client.logout()
    answer = client.get(path, follow=True)
    assert "_auth_user_id" not in client.session
    assert "used already" in answer.content.decode()


def test_a_link_for_one_person_does_not_log_in_another(people):
    other = access.once_login_path(people["operator"]).split("/")
    admins = access.once_login_path(people["admin"]).split("/")
    assert access.user_of_once_login(admins[3], other[4]) is None


@pytest.mark.parametrize("uid", ["", "MQ", "!!", "OTk5"])
def test_a_made_up_link_logs_nobody_in(people, uid):
    assert access.user_of_once_login(uid, "abc-def") is None


def test_a_page_without_login_leads_to_the_login(client):
    answer = client.get("/account/tokens/")
    assert answer.status_code == 302
    assert answer.url.startswith("/login/")


def test_a_program_logs_in_uses_its_token_and_revokes_it(client, people, redis_server):
    login = client.post("/api/v1/auth/login/", {"username": "quality", "password": "correct horse"})
    assert login.status_code == 200
    headers = {"authorization": f"Token {login.json()['token']}"}
    assert client.get("/api/v1/datasets/", headers=headers).status_code == 200
    assert client.post("/api/v1/auth/logout/", headers=headers).status_code == 204
    assert client.get("/api/v1/datasets/", headers=headers).status_code == 401


def test_a_wrong_password_gives_no_token(client, people, redis_server):
    answer = client.post("/api/v1/auth/login/", {"username": "quality", "password": "wrong"})
    assert answer.status_code in (401, 403)
    assert "wrong" in answer.json()["detail"]
    assert not AuthToken.objects.exists()


def test_a_name_is_locked_after_repeated_failures(client, people, settings):
    for _ in range(settings.AXES_FAILURE_LIMIT):
        client.post("/login/", {"username": "quality", "password": "wrong"})
    answer = client.post("/login/", {"username": "quality", "password": "correct horse"})
    assert answer.status_code == 429
    assert "Locked" in answer.content.decode()


def test_a_token_is_shown_once_and_only_its_hash_is_kept(client, people):
    client.force_login(people["engineer"])
    text = client.post("/account/tokens/").context["new_token"]
    kept = AuthToken.objects.get()
    assert text not in (kept.digest, kept.token_key)
    assert text not in client.get("/account/tokens/").content.decode()


def test_a_person_can_revoke_only_their_own_token(client, people):
    token, _ = access.create_token(people["admin"])
    client.force_login(people["quality"])
    client.post(reverse("token_revoke", args=[token.token_key]))
    assert AuthToken.objects.filter(pk=token.pk).exists()


def test_making_and_revoking_a_token_is_in_the_audit(people):
    token, _ = access.create_token(people["admin"])
    assert access.revoke_token(people["admin"], token.token_key)
    assert list(AuditEntry.objects.values_list("action", flat=True)) == ["token.revoked", "token.created"]


def test_each_role_may_do_what_the_roles_before_it_may():
    quality = User(role=Role.QUALITY)
    assert quality.is_at_least(Role.OPERATOR)
    assert quality.is_at_least(Role.QUALITY)
    assert not quality.is_at_least(Role.ENGINEER)
    quality.is_active = False
    assert not quality.is_at_least(Role.OPERATOR)
