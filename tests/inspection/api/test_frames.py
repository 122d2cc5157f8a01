import struct
import threading
import zlib

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from inspection.bus import inbox, liveness
from tests.inspection.factories import make_line, part_record, view_record
from tests.ml.factories import encode, make_pixels

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_here")]
PNG = encode(make_pixels(1, is_ng=False))
FRAMES, INSPECT = "/api/v1/lines/demo/stations/top/frames/", "/api/v1/lines/demo/inspect/"


def huge_png() -> bytes:
    """A PNG of a few bytes that claims 30,000 × 30,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


def jpeg_cut_short() -> bytes:
    import cv2

    whole = cv2.imencode(".jpg", make_pixels(1, is_ng=False))[1].tobytes()
    return whole[: len(whole) // 2]


BAD = [
    (b"", "Send an image"),
    (b"MZ this is no image", "not a JPEG"),
    (jpeg_cut_short(), "cut short"),
    (PNG[:-30], "damaged"),
    (huge_png(), "100 million pixels"),
]


def upload(content: bytes, name: str = "a.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, "image/png")


@pytest.fixture
def line():
    return make_line(stations=("top", "side"))


@pytest.fixture
def running(line):
    liveness.announce(line.slug, liveness.LineStatus(pid=1, started_at="2026-03-01T08:00:00+00:00"))
    return line


def test_a_frame_of_a_form_goes_to_the_line(api_as, running):
    body = {"image": upload(PNG), "trigger_sequence": 7}
    response = api_as("engineer").post(FRAMES, body, format="multipart")
    assert response.status_code == 202, response.json()
    entry = inbox.take("demo")
    assert (entry.frames["top"]["content"], entry.trigger_sequence) == (PNG, 7)


def test_a_frame_may_be_the_whole_body_as_smart_cameras_send_it(api_as, running):
    response = api_as("engineer").generic("POST", FRAMES, PNG, "image/png")
    assert response.status_code == 202, response.json()
    assert inbox.take("demo").frames["top"]["content"] == PNG


@pytest.mark.parametrize(("content", "words"), BAD, ids=["empty", "text", "jpeg", "png", "huge"])
@pytest.mark.parametrize("address", [FRAMES, INSPECT])
def test_what_is_no_image_is_refused_in_words(api_as, running, content, words, address):
    response = api_as("engineer").generic("POST", address, content, "image/png")
    assert response.status_code == 400, response.json()
    assert words in response.json()["image"][0]
    assert inbox.take("demo") is None


@pytest.mark.parametrize("address", [FRAMES, INSPECT])
def test_a_line_that_does_not_run_answers_503_with_the_command(api_as, line, address):
    response = api_as("engineer").generic("POST", address, PNG, "image/png")
    assert (response.status_code, response.json()["code"]) == (503, "line_not_running")
    assert "run_line demo" in response.json()["detail"]


def test_a_line_that_does_not_keep_up_answers_429(api_as, running):
    for _ in range(inbox.DEPTH):
        inbox.put("demo", kind="frame", frames={"top": ("a", PNG)})
    response = api_as("engineer").generic("POST", FRAMES, PNG, "image/png")
    assert (response.status_code, response.json()["code"]) == (429, "line_full")


def test_an_empty_file_is_refused_as_such(api_as, running):
    response = api_as("engineer").post(FRAMES, {"image": upload(b"")}, format="multipart")
    assert (response.status_code, response.json()["image"]) == (400, ["The file is empty."])


@pytest.mark.parametrize("trigger", ["-1", "70000", "x"])
def test_a_trigger_that_no_plc_could_count_is_refused(api_as, running, trigger):
    body = {"image": upload(PNG), "trigger_sequence": trigger}
    assert api_as("engineer").post(FRAMES, body, format="multipart").status_code == 400


def test_an_unknown_station_is_not_found(api_as, running):
    address = "/api/v1/lines/demo/stations/gone/frames/"
    assert api_as("engineer").generic("POST", address, PNG, "image/png").status_code == 404


@pytest.mark.parametrize("body", [{}, {"image": "text"}, {"serial": "x"}, {"bottom": "x"}])
def test_an_inspection_without_an_image_of_a_station_is_refused(api_as, running, body):
    assert api_as("operator").post(INSPECT, body, format="multipart").status_code == 400


def test_an_inspection_answers_with_verdict_score_threshold_and_map(api_as, running):
    views = [
        view_record("top", map_path="evidence/m.png", map_max=0.7, map_box=[0, 0, 64, 64]),
        view_record("side"),
    ]
    record = part_record(9, verdict="NG", score=0.8, serial="X1", views=views, origin="api")
    asked: list[inbox.Entry] = []

    def answer() -> None:
        asked.append(inbox.take("demo"))
        inbox.answer(asked[0].reply, {"record": record})

    thread = threading.Thread(target=answer)
    thread.start()
    body = {"top": upload(PNG), "side": upload(PNG, "b.png"), "serial": "X1"}
    response = api_as("operator").post(INSPECT, body, format="multipart")
    thread.join(5)
    assert response.status_code == 200, response.json()
    said = response.json()
    assert (said["verdict"], said["score"], said["threshold"], said["sequence"]) == ("NG", 0.8, 0.55, 9)
    assert said["views"][0]["map_url"] == "/lines/demo/parts/9/top/map/"
    assert said["views"][1]["map_url"] == ""
    assert {name: frame["name"] for name, frame in asked[0].frames.items()} == {
        "top": "a.png",
        "side": "b.png",
    }


def test_the_limit_is_each_image_s_and_not_all_of_theirs_together(api_as, running, settings):
    settings.MAX_IMAGE_BYTES = len(PNG)
    line = threading.Thread(target=answer_once)
    line.start()
    both = {"top": upload(PNG), "side": upload(PNG)}
    assert api_as("operator").post(INSPECT, both, format="multipart").status_code == 503
    line.join(5)
    longer = {"top": upload(PNG), "side": upload(PNG + b"more")}
    refused = api_as("operator").post(INSPECT, longer, format="multipart")
    assert (refused.status_code, list(refused.json())) == (400, ["side"])


def answer_once() -> None:
    inbox.answer(inbox.take("demo").reply, {"error": "tired"})
