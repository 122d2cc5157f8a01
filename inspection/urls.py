from django.urls import path

from .views import deployments, evidence, lines, live, overview, parts

urlpatterns = [
    path("", overview.show_overview, name="overview"),
    path("overview/cards/", overview.show_cards, name="overview_cards"),
    path("lines/", lines.list_lines, name="lines"),
    path("lines/new/", lines.make_line, name="line_new"),
    path("lines/<slug:slug>/", live.show_line, name="line"),
    path("lines/<slug:slug>/settings/", lines.edit_line, name="line_settings"),
    path("lines/<slug:slug>/panel/", live.show_panel, name="line_panel"),
    path("lines/<slug:slug>/parts/<int:sequence>/", parts.show_part, name="part"),
    path("lines/<slug:slug>/parts/<int:sequence>/disposition/", parts.dispose_part, name="part_disposition"),
    path(
        "lines/<slug:slug>/parts/<int:sequence>/<slug:station>/frame/",
        evidence.send_frame,
        name="part_frame",
    ),
    path("lines/<slug:slug>/parts/<int:sequence>/<slug:station>/map/", evidence.send_map, name="part_map"),
    path("parts/", parts.list_parts, name="parts"),
    path("operating-points/<int:pk>/deploy/", deployments.deploy_point, name="deploy"),
    path("alarms/<int:pk>/acknowledge/", live.acknowledge, name="alarm_acknowledge"),
]
