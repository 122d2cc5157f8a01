import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotation.decoding import ImageRefused, decode_image, inspect_image

GREY = np.arange(40 * 30, dtype=np.uint32).reshape(30, 40).astype(np.uint8)
COLOUR = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)


def encoded(image: Image.Image, fmt: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, fmt, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds next to nothing: what a decompression bomb looks like."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(64)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "rgb"])
def test_lossless_formats_give_back_the_very_pixels(fmt: str, pixels: np.ndarray) -> None:
    decoded = decode_image(encoded(Image.fromarray(pixels), fmt))
    np.testing.assert_array_equal(decoded, pixels)
    assert decoded.dtype == np.uint8
    assert decoded.flags["C_CONTIGUOUS"]


def test_a_colour_image_comes_out_as_rgb_not_bgr() -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    assert decode_image(encoded(Image.fromarray(red), "JPEG", quality=95))[4, 4].tolist() == pytest.approx(
        [254, 0, 0], abs=2
    )


def test_the_header_alone_tells_what_decoding_will_give(tmp_path: Path) -> None:
    path = tmp_path / "part.dat"
    path.write_bytes(encoded(Image.fromarray(COLOUR), "WEBP"))
    facts = inspect_image(path)
    assert (facts.height, facts.width, facts.mode, facts.format) == (30, 40, "rgb", "webp")
    assert facts.bytes == path.stat().st_size
    assert facts.content_type == "image/webp"
    assert decode_image(path).shape == (30, 40, 3)


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_the_header_is_read_without_decoding_whatever_the_format(fmt: str) -> None:
    facts = inspect_image(encoded(Image.fromarray(GREY), fmt))
    assert (facts.height, facts.width) == (30, 40)


def test_a_huge_png_is_refused_before_a_pixel_is_decoded() -> None:
    with pytest.raises(ImageRefused, match="million"):
        inspect_image(png_header(30_000, 30_000))
    with pytest.raises(ImageRefused, match="million"):
        decode_image(png_header(12_000, 10_000))


def test_the_pixel_limit_is_the_callers_to_lower() -> None:
    content = encoded(Image.fromarray(GREY))
    assert decode_image(content, max_pixels=1200).shape == (30, 40)
    with pytest.raises(ImageRefused, match="40 x 30 pixels"):
        decode_image(content, max_pixels=1199)


def test_too_many_bytes_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    path.write_bytes(bytes(2000))
    with pytest.raises(ImageRefused, match="MB"):
        inspect_image(path, max_bytes=1999)


def test_an_empty_file_is_told_as_empty() -> None:
    with pytest.raises(ImageRefused, match="empty"):
        decode_image(b"")


@pytest.mark.parametrize(
    "content", [b"GIF89a" + bytes(50), b"<svg xmlns='x'/>", b"\x00" * 100, b"file,label\na.png,OK\n"]
)
def test_what_is_no_image_is_refused_whatever_its_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "looks_fine.png"
    path.write_bytes(content)
    with pytest.raises(ImageRefused, match="not a JPEG"):
        inspect_image(path)


def test_a_missing_file_is_the_callers_problem_not_a_refused_image(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        decode_image(tmp_path / "nothing.png")


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_a_file_cut_short_is_refused(fmt: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
    whole = encoded(Image.fromarray(noise), fmt)
    for kept in (len(whole) // 2, len(whole) * 3 // 4):
        with pytest.raises(ImageRefused):
            decode_image(whole[:kept])


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow warns of damaged TIFF tags and reads on
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_flipped_bytes_give_an_image_or_a_refusal_and_nothing_else(fmt: str) -> None:
    whole = encoded(Image.fromarray(COLOUR), fmt)
    rng = np.random.default_rng(7)
    for _ in range(300):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            damaged[at] = rng.integers(0, 256)
        with contextlib.suppress(ImageRefused):
            pixels = decode_image(bytes(damaged), max_pixels=10_000)
            assert pixels.dtype == np.uint8
            assert pixels.ndim in (2, 3)


def test_sixteen_bits_become_the_high_byte() -> None:
    deep = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    for fmt in ("PNG", "TIFF"):
        decoded = decode_image(encoded(Image.fromarray(deep), fmt))
        np.testing.assert_array_equal(decoded, np.arange(256).reshape(16, 16))


def test_one_bit_images_become_black_and_white() -> None:
    decoded = decode_image(encoded(Image.fromarray(GREY > 128)))
    np.testing.assert_array_equal(decoded, np.where(GREY > 128, 255, 0))


def test_transparency_is_laid_on_black() -> None:
    rgba = np.dstack([COLOUR, np.full((30, 40), 255, np.uint8)])
    rgba[:, :20, 3] = 0
    decoded = decode_image(encoded(Image.fromarray(rgba)))
    assert not decoded[:, :20].any()
    np.testing.assert_array_equal(decoded[:, 20:], COLOUR[:, 20:])
    grey_alpha = decode_image(encoded(Image.fromarray(rgba).convert("LA")))
    assert grey_alpha.shape == (30, 40)
    assert not grey_alpha[:, :20].any()


def test_a_palette_image_becomes_rgb() -> None:
    flat = np.zeros((10, 10, 3), np.uint8)
    flat[:5] = (10, 200, 30)
    decoded = decode_image(encoded(Image.fromarray(flat).quantize(4)))
    np.testing.assert_array_equal(decoded, flat)


def test_a_photograph_on_its_side_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera's right is up: turn by 90 degrees clockwise
    content = encoded(Image.fromarray(GREY), "PNG", exif=exif)
    facts = inspect_image(content)
    assert (facts.height, facts.width) == (40, 30)
    np.testing.assert_array_equal(decode_image(content), np.rot90(GREY, -1))


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "F", "I"])
def test_modes_without_one_meaning_are_refused_by_name(mode: str) -> None:
    grey = Image.fromarray(GREY)
    odd = {
        "CMYK": Image.fromarray(COLOUR).convert("CMYK"),
        "LAB": Image.merge("LAB", [grey, grey, grey]),
        "F": grey.convert("F"),
        "I": grey.convert("I"),
    }
    with pytest.raises(ImageRefused, match=mode):
        decode_image(encoded(odd[mode], "TIFF"))


def test_several_pages_are_refused() -> None:
    page = Image.fromarray(GREY)
    content = encoded(page, "TIFF", save_all=True, append_images=[page])
    with pytest.raises(ImageRefused, match="several pages"):
        inspect_image(content)
