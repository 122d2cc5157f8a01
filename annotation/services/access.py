"""The first account, links that log in once, and API tokens."""

import secrets

from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import transaction
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode
from knox.models import AuthToken

from annotation.choices import Role
from annotation.models import User

from . import audit


class _OnceTokens(PasswordResetTokenGenerator):
    """A token that a login spends: it depends on the time of the last one."""

    key_salt = "annotation.services.access.once"


_once_tokens = _OnceTokens()


@transaction.atomic
def ensure_admin(username: str = "admin") -> tuple[User, str | None]:
    """The administrator, made with a random password when nobody is one yet.

    Returns:
        The account, and its password when it was made now; it is never to be had again.
    """
    admin = User.objects.filter(role=Role.ADMIN, is_active=True).order_by("id").first()
    if admin:
        return admin, None
    password = secrets.token_urlsafe(12)
    admin = User.objects.create_superuser(username=username, password=password)
    audit.record(actor=None, action="user.created", target=admin, details={"role": Role.ADMIN})
    return admin, password


def once_login_path(user: User) -> str:
    """The address, without host, that logs this person in once."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return reverse("login_once", args=[uid, _once_tokens.make_token(user)])


def user_of_once_login(uid: str, token: str) -> User | None:
    """Whose link this is; None where it was used, is too old, or was never given."""
    try:
        user = User.objects.get(pk=urlsafe_base64_decode(uid).decode(), is_active=True)
    except (ValueError, User.DoesNotExist):
        return None
    return user if _once_tokens.check_token(user, token) else None


@transaction.atomic
def create_token(user: User) -> tuple[AuthToken, str]:
    """A new API token with the rights of its owner's role; its text is never to be had again."""
    token, text = AuthToken.objects.create(user=user)
    audit.record(actor=user, action="token.created", target=user, details={"token_key": token.token_key})
    return token, text


@transaction.atomic
def revoke_token(user: User, token_key: str) -> bool:
    """Ends one of a person's own tokens; False where they have no such token."""
    deleted, _ = AuthToken.objects.filter(user=user, token_key=token_key).delete()
    if deleted:
        audit.record(actor=user, action="token.revoked", target=user, details={"token_key": token_key})
    return bool(deleted)
