from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from inspection import selectors


def show_overview(request: HttpRequest) -> HttpResponse:
    cards = selectors.line_cards()
    progress = selectors.setup_progress()
    return render(request, "inspection/overview.html", {"cards": cards, "progress": progress})


def show_cards(request: HttpRequest) -> HttpResponse:
    """The same cards again, for the page that stays open."""
    return render(request, "inspection/_line_cards.html", {"cards": selectors.line_cards()})
