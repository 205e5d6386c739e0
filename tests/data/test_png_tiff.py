from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from lss_lightning.data.formats import read_image
from lss_lightning.errors import UserError

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def read_grey(file):
    return read_image(file, "t1")[..., 0]


def read_rgb(file):
    return read_image(file, "composite")


def write_png(path, pixels, colour, depth=8, *, interlaced=False, **chunks):
    """Write a PNG file of any bit depth, or interlaced, which Pillow cannot (ISO/IEC 15948:2003, clauses 7 to 11)."""
    height, width = pixels.shape[:2]

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def encode(part):
        part = part.reshape(*part.shape[:2], CHANNELS[colour])
        if depth == 1:
            return b"".join(b"\0" + np.packbits(row[:, 0]).tobytes() for row in part)
        return b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in part)

    passes = [pixels[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [pixels]
    data = b"".join(encode(part) for part in passes if part.size)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    extra_chunks = b"".join(chunk(kind.encode(), body) for kind, body in chunks.items())
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra_chunks
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def grey_rgb():
    return np.repeat(noise(13, 9)[..., None], 3, axis=2)


def opaque(pixels):
    return np.dstack((pixels, np.full(pixels.shape[:2], 255, np.uint8)))


RAMP = bytes(np.repeat(np.arange(256, dtype=np.uint8), 3))
LOSSLESS = {
    "8-bit grey": (noise(13, 9), GREY, 8, {}, noise(13, 9)),
    "interlaced grey": (noise(13, 9), GREY, 8, {"interlaced": True}, noise(13, 9)),
    "16 bits below 256": (noise(13, 9).astype(int), GREY, 16, {}, noise(13, 9)),
    "8 bits stretched to 16": (noise(13, 9).astype(int) * 257, GREY, 16, {}, noise(13, 9)),
    "1 bit": (noise(13, 9) > 127, GREY, 1, {}, np.where(noise(13, 9) > 127, 255, 0)),
    "grey with opaque alpha": (opaque(noise(13, 9)), GREY_ALPHA, 8, {}, noise(13, 9)),
    "palette of greys": (noise(13, 9), PALETTE, 8, {"PLTE": RAMP}, noise(13, 9)),
    "palette of greys, opaque": (noise(13, 9), PALETTE, 8, {"PLTE": RAMP, "tRNS": b"\xff"}, noise(13, 9)),
    "grey RGB": (grey_rgb(), RGB, 8, {}, noise(13, 9)),
    "grey RGBA, opaque": (opaque(grey_rgb()), RGBA, 8, {}, noise(13, 9)),
    "unused transparent grey": (noise(13, 9) | 1, GREY, 8, {"tRNS": b"\0\x02"}, noise(13, 9) | 1),
}  # fmt: skip
LOSSY = {
    "16 bits": (noise(13, 9).astype(int) * 3, GREY, 16, {}, "values 0-7.. where 8 bits"),
    "16-bit RGB": (grey_rgb(), RGB, 16, {}, "16 bits per channel"),
    "16-bit grey with alpha": (opaque(noise(13, 9)), GREY_ALPHA, 16, {}, "16 bits per channel"),
    "16-bit RGBA": (opaque(grey_rgb()), RGBA, 16, {}, "16 bits per channel"),
    "grey with alpha": (noise(13, 9, 2), GREY_ALPHA, 8, {}, "an alpha channel that is not opaque"),
    "RGBA": (noise(13, 9, 4), RGBA, 8, {}, "an alpha channel that is not opaque"),
    "palette with alpha": (noise(13, 9), PALETTE, 8, {"PLTE": RAMP, "tRNS": bytes(256)}, "not opaque"),
    "used transparent grey": (noise(13, 9) & 2, GREY, 8, {"tRNS": b"\0\x02"}, "not opaque"),
}  # fmt: skip


@pytest.mark.parametrize(("pixels", "colour", "depth", "options", "expected"), LOSSLESS.values(), ids=LOSSLESS)
def test_lossless_conversion_to_8_bits(tmp_path, pixels, colour, depth, options, expected):
    write_png(tmp_path / "a.png", pixels, colour, depth, **options)
    grey = read_grey(tmp_path / "a.png")
    assert grey.dtype == np.uint8
    assert grey.flags.c_contiguous
    np.testing.assert_array_equal(grey, expected)
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), np.repeat(np.asarray(expected)[..., None], 3, axis=2))


@pytest.mark.parametrize(("pixels", "colour", "depth", "options", "reason"), LOSSY.values(), ids=LOSSY)
@pytest.mark.parametrize("read", [read_grey, read_rgb])
def test_lossy_conversion_is_refused(tmp_path, read, pixels, colour, depth, options, reason):
    write_png(tmp_path / "a.png", pixels, colour, depth, **options)
    with pytest.raises(UserError, match=reason) as error:
        read(tmp_path / "a.png")
    assert str(error.value).startswith(f"{tmp_path / 'a.png'}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("interlaced", [False, True])
def test_colours_are_read_as_rgb_and_refused_as_grey(tmp_path, interlaced):
    write_png(tmp_path / "rgb.png", noise(13, 9, 3), RGB, interlaced=interlaced)
    write_png(tmp_path / "palette.png", noise(13, 9), PALETTE, PLTE=noise(768).tobytes(), interlaced=interlaced)
    np.testing.assert_array_equal(read_rgb(tmp_path / "rgb.png"), noise(13, 9, 3))
    np.testing.assert_array_equal(read_rgb(tmp_path / "palette.png"), noise(768).reshape(256, 3)[noise(13, 9)])
    for name in ("rgb.png", "palette.png"):
        with pytest.raises(UserError, match=f"{name}: a colour image where 8-bit grey is expected"):
            read_grey(tmp_path / name)


def intact(tmp_path):
    Image.fromarray(noise(64, 64)).save(tmp_path / "intact.png")
    return (tmp_path / "intact.png").read_bytes()


@pytest.mark.parametrize(
    ("corrupt", "reason"),
    [
        (lambda _: b"", "not a PNG file"),
        (lambda _: b"a table of numbers\n1 2 3\n", "not a PNG file"),
        (lambda data: data[:20], "only the beginning|broken or truncated"),
        (lambda data: data[:33], "only the beginning|broken or truncated"),
        (lambda data: data[: len(data) // 2], "broken or truncated image"),
        (lambda data: data[:2000] + b"\0" * 50 + data[2050:], "broken or truncated image"),
        (lambda data: data[:11] + b"\x05" + data[12:], "broken or truncated image"),
    ],
    ids=["empty", "text", "half a header", "header alone", "truncated", "overwritten", "header of a wrong length"],
)
def test_corrupt_file_is_named(tmp_path, corrupt, reason):
    path = tmp_path / "L1_0001_D3.png"
    path.write_bytes(corrupt(intact(tmp_path)))
    with pytest.raises(UserError, match=reason) as error:
        read_grey(path)
    assert str(error.value).startswith(f"{path}: ")


def test_truncation_and_changed_bytes_raise_no_other_error(tmp_path):
    data, rng, path = intact(tmp_path), np.random.default_rng(0), tmp_path / "a.png"
    corrupt = [data[:length] for length in range(0, len(data), 101)]
    corrupt += [data[:position] + rng.bytes(1) + data[position + 1 :] for position in rng.integers(8, 60, 400)]
    refusals = 0
    for content in corrupt:
        path.write_bytes(content)
        try:
            read_grey(path)
        except UserError:
            refusals += 1
    assert refusals > len(corrupt) // 2


@pytest.mark.parametrize("kind", ["JPEG", "BMP", "GIF"])
def test_other_format_named_png_is_refused(tmp_path, kind):
    Image.fromarray(noise(64, 64)).save(tmp_path / "a.png", format=kind)
    with pytest.raises(UserError, match="not a PNG file"):
        read_grey(tmp_path / "a.png")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.png: no such file"):
        read_rgb(tmp_path / "nowhere.png")
