from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import BaseParser


class RawImageParser(BaseParser):
    """The image as the whole body, as smart cameras send it: `Content-Type: image/jpeg` and its bytes."""

    media_type = "image/*"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, bytes]:
        # One byte more than is taken, so that the limit is noticed.
        return {"image": stream.read(settings.MAX_IMAGE_BYTES + 1)}
