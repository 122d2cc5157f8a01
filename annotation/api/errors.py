"""Domain errors become HTTP here, once."""

from rest_framework.response import Response
from rest_framework.views import exception_handler

from annotation.errors import DomainError


def handle_exception(error: Exception, context: dict) -> Response | None:
    if isinstance(error, DomainError):
        return Response({"detail": str(error), "code": error.code}, status=error.status)
    return exception_handler(error, context)
