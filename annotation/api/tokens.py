"""Login for programs: a name and a password against a token."""

from django.contrib.auth import authenticate
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.services import access


class Credentials(serializers.Serializer):
    username = serializers.CharField()
    password = serializers.CharField(trim_whitespace=False)


class IssuedToken(serializers.Serializer):
    token = serializers.CharField(help_text="Send it as “Authorization: Token …”. It is shown this once.")
    role = serializers.CharField()


class TokenLogin(APIView):
    """Exchange a name and a password for a token."""

    permission_classes = [AllowAny]
    authentication_classes = []
    throttle_scope = "login"

    @extend_schema(request=Credentials, responses=IssuedToken)
    def post(self, request: Request) -> Response:
        given = Credentials(data=request.data)
        given.is_valid(raise_exception=True)
        # The plain request: the lockout on repeated failure reads the address from it.
        user = authenticate(request._request, **given.validated_data)  # noqa: SLF001
        if user is None:
            raise AuthenticationFailed(
                "The name or the password is wrong, or the account is locked for a while."
            )
        text = access.create_token(user)[1]
        return Response({"token": text, "role": user.role})


class TokenLogout(APIView):
    """Revoke the token that this request carries."""

    permission_classes = [IsAuthenticated]

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        if request.auth is not None:
            access.revoke_token(request.user, request.auth.token_key)
        return Response(status=status.HTTP_204_NO_CONTENT)
