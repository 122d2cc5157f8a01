"""Who may do what: one rank of roles, for pages, REST and sockets alike."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from .choices import Role

if TYPE_CHECKING:
    # REST framework's views import this module while they are being imported themselves.
    from rest_framework.views import APIView


def role_required(role: Role) -> Callable:
    """Let a page's view through for people of this role or above; others get 403."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def guarded(request: HttpRequest, *args, **kwargs) -> HttpResponse:
            if not request.user.is_at_least(role):
                raise PermissionDenied(f"This needs the role “{role.label}” or above.")
            return view(request, *args, **kwargs)

        return guarded

    return decorate


class RolePermission(BasePermission):
    """REST: everybody who is logged in may read; `write_role` of the view says who may write."""

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if not (request.user and request.user.is_authenticated):
            return False
        if request.method in SAFE_METHODS:
            role = getattr(view, "read_role", Role.OPERATOR)
        else:
            role = getattr(view, "write_role", Role.QUALITY)
        self.message = f"This needs the role “{role.label}” or above."
        return request.user.is_at_least(role)
