from typing import TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest

PAGE_SIZE = 50

Row = TypeVar("Row", bound=Model)


def newest_first_page(request: HttpRequest, rows: QuerySet[Row]) -> tuple[list[Row], int | None]:
    """One page of rows below `?before=ID`, and the number to ask for the next with; None on the last.

    Keyset paging: the cost of a page does not grow with its distance from the first.
    """
    before = request.GET.get("before", "")
    if before.isdecimal():
        rows = rows.filter(pk__lt=int(before))
    page = list(rows[: PAGE_SIZE + 1])
    return page[:PAGE_SIZE], page[PAGE_SIZE - 1].pk if len(page) > PAGE_SIZE else None
