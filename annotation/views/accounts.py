from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from knox.models import AuthToken

from annotation.services import access


@login_not_required
@require_GET
def login_once(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    user = access.user_of_once_login(uid, token)
    if user is None:
        messages.error(request, _("This link was used already or is too old. Log in with your password."))
        return redirect("login")
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("overview")


@require_http_methods(["GET", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    text = ""
    if request.method == "POST":
        text = access.create_token(request.user)[1]
    owned = AuthToken.objects.filter(user=request.user).order_by("-created")
    return render(request, "accounts/tokens.html", {"tokens": owned, "new_token": text})


@require_POST
def token_revoke(request: HttpRequest, token_key: str) -> HttpResponse:
    if access.revoke_token(request.user, token_key):
        messages.success(request, _("The token is revoked; nothing can use it any more."))
    return redirect("tokens")
