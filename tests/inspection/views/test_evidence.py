import pytest

from inspection.services.lines import line_folder
from tests.inspection.factories import make_line, make_parts, view_record
from tests.ml.factories import encode, make_dataset, make_pixels

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("folders")]
FRAME, MAP = "/lines/demo/parts/1/top/frame/", "/lines/demo/parts/1/top/map/"
PNG = encode(make_pixels(1, is_ng=False))


def keep(name: str, content: bytes) -> str:
    path = line_folder("demo") / "evidence" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return f"evidence/{name}"


def test_the_kept_frame_and_map_are_sent(as_role):
    view = view_record(frame_path=keep("f.png", PNG), map_path=keep("m.png", PNG))
    make_parts(make_line(), 1, views=[view])
    for address in (FRAME, MAP):
        response = as_role("operator").get(address)
        assert (response["Content-Type"], response.content) == ("image/png", PNG)
        assert "private" in response["Cache-Control"]


def test_a_replayed_frame_is_the_dataset_s_image(as_role):
    image = make_dataset(ok=1).dataset.images.get()
    make_parts(make_line(), 1, views=[view_record(reference=str(image.pk))])
    assert as_role("operator").get(FRAME).content == image.path.read_bytes()


def test_what_a_browser_can_t_show_is_sent_as_png(as_role):
    import cv2

    tiff = cv2.imencode(".tif", make_pixels(1, is_ng=False))[1].tobytes()
    make_parts(make_line(), 1, views=[view_record(frame_path=keep("f.tif", tiff))])
    assert as_role("operator").get(FRAME).content.startswith(b"\x89PNG")


def test_a_bad_frame_that_was_kept_is_not_sent_as_an_image(as_role):
    make_parts(make_line(), 1, views=[view_record(frame_path=keep("f.bin", b"no image"))])
    assert as_role("operator").get(FRAME).status_code == 404


def test_what_was_removed_is_not_found(as_role):
    make_parts(make_line(), 1, views=[view_record(frame_path="evidence/gone.png")])
    assert as_role("operator").get(FRAME).status_code == 404
    assert as_role("operator").get(MAP).status_code == 404


def test_a_path_that_leads_out_of_the_line_s_folder_is_not_followed(as_role, tmp_path):
    (tmp_path / "secret.png").write_bytes(PNG)
    make_parts(make_line(), 1, views=[view_record(frame_path="../../secret.png")])
    assert as_role("operator").get(FRAME).status_code == 404


def test_nobody_sees_images_without_login(client):
    make_parts(make_line(), 1, views=[view_record(frame_path=keep("f.png", PNG))])
    assert client.get(FRAME).status_code == 302
