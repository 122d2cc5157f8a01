"""Getting in and out; kept apart from the pages about images."""

from django.contrib.auth import views as auth
from django.urls import path

from .api.tokens import TokenLogin, TokenLogout
from .views import accounts

urlpatterns = [
    path("login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("login/once/<str:uid>/<str:token>/", accounts.login_once, name="login_once"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path(
        "account/password/",
        auth.PasswordChangeView.as_view(success_url="/", template_name="registration/change_password.html"),
        name="password_change",
    ),
    path("account/tokens/", accounts.tokens, name="tokens"),
    path("account/tokens/<str:token_key>/revoke/", accounts.token_revoke, name="token_revoke"),
]
api_urlpatterns = [
    path("auth/login/", TokenLogin.as_view(), name="api_login"),
    path("auth/logout/", TokenLogout.as_view(), name="api_logout"),
]
