from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from inspection import selectors


def show_overview(request: HttpRequest) -> HttpResponse:
    cards = selectors.line_cards()
    progress = selectors.setup_progress()
    context = {
        "cards": cards,
        "progress": progress,
        "time_zone": timezone.get_current_timezone_name(),
    }
    return render(request, "inspection/overview.html", context)


def show_cards(request: HttpRequest) -> HttpResponse:
    """The same cards again, for the page that stays open."""
    return render(request, "inspection/_line_cards.html", {"cards": selectors.line_cards()})
