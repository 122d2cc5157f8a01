from io import StringIO

from django.core.management import call_command


def test_the_openapi_schema_is_made_without_a_warning():
    out = StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=out)
    for address in ("/api/v1/lines/{slug}/inspect/", "/api/v1/lines/{slug}/stations/{station}/frames/"):
        assert address in out.getvalue()
