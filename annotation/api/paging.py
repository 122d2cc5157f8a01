"""Keyset paging: the cost of a page does not grow with its distance from the first."""

from rest_framework.pagination import CursorPagination


class NewestFirst(CursorPagination):
    """{"next", "previous", "results"}; `page_size` up to 500; newest first."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500
