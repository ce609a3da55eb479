"""Makes tests/golden/image: tiny synthetic pictures of every format and mode, and expected.txt with what Pillow
makes of them. Run with a Python that has Pillow and numpy:  python tools/golden_image.py tests/golden/image

expected.txt, one fact a line; hashes are FNV-1a (64 bit) of the bytes [H][W][C]:
    decode FILE WIDTH HEIGHT HASH             ImageOps.exif_transpose(Image.open(FILE)).convert("RGB")
    resize FILE CHANNELS FILTER W H HASH      the same, convert("L") where CHANNELS is 1, then resize
    grey   FILE HASH                          convert("L")
"""
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, ImageOps

W, H = 37, 29
FILTERS = {"nearest": 0, "box": 4, "bilinear": 2, "hamming": 5, "bicubic": 3, "lanczos": 1}


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = ((h ^ b) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


def picture(width, height, channels, seed):
    """Smooth gradients with edges and noise: every level and every filter has something to do."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 120 * np.sin((x * (c + 1) + y * (2 + seed % 3)) / (5 + 3 * c)) for c in range(channels)]
    out = np.stack(planes, -1) + rng.integers(-30, 31, (height, width, channels))
    out[height // 3 : height // 2, width // 4 : width // 2] = rng.integers(0, 256, channels)
    return np.clip(out, 0, 255).astype(np.uint8)


def exif(orientation, order="<"):
    head = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"Exif\0\0" + head + struct.pack(order + "IH", 8, 1) + entry + struct.pack(order + "I", 0)


def xmp(orientation):
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()


# ---------------------------------------------------------------- PNG (Pillow writes only some of its kinds)

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed_rows(samples, depth):
    """samples [h][w][c] -> filter byte and packed row, for every row."""
    out = b""
    for row in samples.reshape(samples.shape[0], -1):
        bits = "".join(format(int(v), f"0{depth}b") for v in row)
        bits += "0" * (-len(bits) % 8)
        out += b"\0" + bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    return out


def png(samples, depth, kind, interlaced=False, extra=(), late=()):
    height, width = samples.shape[:2]
    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
        parts = [samples[y0::dy, x0::dx] for x0, y0, dx, dy in passes]
        data = b"".join(packed_rows(p, depth) for p in parts if p.size)
    else:
        data = packed_rows(samples, depth)
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced))
    body = [chunk(b"IHDR", head), *extra, chunk(b"IDAT", zlib.compress(data)), *late, chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def png_files():
    rng = np.random.default_rng(5)
    for depth in (1, 2, 4, 8, 16):
        grey = rng.integers(0, 1 << depth, (H, W, 1))
        if depth == 16:
            grey[:, : W // 2] >>= 8  # small values too: they are kept, larger ones clipped
        for interlaced in (False, True):
            end = "_i" if interlaced else ""
            yield f"grey{depth}{end}.png", png(grey, depth, 0, interlaced)
            if depth <= 8:
                colours = rng.integers(0, 256, (min(1 << depth, 200), 3)).astype(np.uint8).tobytes()
                plte, trns = chunk(b"PLTE", colours), chunk(b"tRNS", bytes(range(0, 200, 7))[: len(colours) // 3])
                index = rng.integers(0, 1 << depth, (H, W, 1))  # 8 bit: also past the palette's end
                yield f"palette{depth}{end}.png", png(index, depth, 3, interlaced, (plte,))
                yield f"palette{depth}_trns{end}.png", png(index, depth, 3, interlaced, (plte, trns))
            if depth >= 8:
                for name, kind, channels in (("grey_alpha", 4, 2), ("rgb", 2, 3), ("rgba", 6, 4)):
                    samples = rng.integers(0, 1 << depth, (H, W, channels))
                    yield f"{name}{depth}{end}.png", png(samples, depth, kind, interlaced)
    rgb = picture(W, H, 3, 2)
    yield "rgb8_trns.png", png(rgb, 8, 2, extra=(chunk(b"tRNS", struct.pack(">3H", *map(int, rgb[3, 3]))),))
    yield "gamma.png", png(rgb, 8, 2, extra=(chunk(b"gAMA", struct.pack(">I", 30000)),))
    yield "exif6.png", png(rgb, 8, 2, extra=(chunk(b"eXIf", exif(6)[6:]),))
    yield "exif5_late.png", png(rgb, 8, 2, late=(chunk(b"eXIf", exif(5, ">")[6:]),))
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(3)
    yield "xmp3.png", png(rgb, 8, 2, extra=(chunk(b"iTXt", text),))
    block = exif(8)
    profile = f"\nexif\n{len(block):8}\n{block.hex()}\n".encode()
    raw = b"Raw profile type exif\0\0" + zlib.compress(profile)
    yield "raw_profile8.png", png(rgb, 8, 2, extra=(chunk(b"zTXt", raw),))


# ---------------------------------------------------------------- JPEG, WebP, GIF through Pillow

def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpeg_files():
    rgb = Image.fromarray(picture(W, H, 3, 1))
    yield "grey.jpg", saved(rgb.convert("L"), "JPEG", quality=85)
    for name, sampling in (("444", 0), ("422", 1), ("420", 2)):
        for progressive in (False, True):
            end = "_prog" if progressive else ""
            yield f"ycc{name}{end}.jpg", saved(rgb, "JPEG", quality=85, subsampling=sampling, progressive=progressive)
    # 4:2:2 of 32 x 16 has the same blocks per unit as 4:4:0 of 16 x 32: only the header differs
    data = bytearray(saved(Image.fromarray(picture(32, 16, 3, 4)), "JPEG", quality=90, subsampling=1))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 32, 16)
    data[at + 11] = 0x12
    yield "ycc440.jpg", bytes(data)
    yield "restart.jpg", saved(rgb, "JPEG", quality=60, restart_marker_blocks=2)
    yield "rgb.jpg", saved(rgb, "JPEG", quality=85, keep_rgb=True)
    cmyk = Image.fromarray(picture(W, H, 4, 3), "CMYK")
    data = saved(cmyk, "JPEG", quality=90)
    yield "cmyk.jpg", data
    at = data.index(b"Adobe")
    yield "ycck.jpg", data[: at + 11] + b"\x02" + data[at + 12 :]
    for o in range(1, 9):
        yield f"exif{o}.jpg", saved(rgb, "JPEG", quality=80, exif=exif(o, "<" if o % 2 else ">"))
    yield "exif9.jpg", saved(rgb, "JPEG", quality=80, exif=exif(9))
    yield "xmp6.jpg", saved(rgb, "JPEG", quality=80, xmp=xmp(6))


def webp_files():
    rgb, rgba = Image.fromarray(picture(W, H, 3, 6)), Image.fromarray(picture(W, H, 4, 7))
    yield "lossy.webp", saved(rgb, "WEBP", quality=80)
    yield "lossless.webp", saved(rgb, "WEBP", lossless=True)
    yield "lossy_alpha.webp", saved(rgba, "WEBP", quality=80)
    yield "lossless_alpha.webp", saved(rgba, "WEBP", lossless=True, exact=True)
    yield "exif7.webp", saved(rgb, "WEBP", quality=70, exif=exif(7))
    yield "xmp8.webp", saved(rgb, "WEBP", quality=70, xmp=xmp(8))
    other = Image.fromarray(picture(W, H, 3, 8))
    yield "animated.webp", saved(rgb, "WEBP", save_all=True, append_images=[other], duration=100, lossless=True)


def gif_files():
    rgb = Image.fromarray(picture(W, H, 3, 9))
    coloured = rgb.quantize(64)
    yield "palette.gif", saved(coloured, "GIF", interlace=0)
    yield "interlaced.gif", saved(coloured, "GIF", interlace=1)
    yield "grey.gif", saved(rgb.convert("L"), "GIF")
    yield "transparent.gif", saved(coloured, "GIF", transparency=3)
    other = Image.fromarray(picture(W, H, 3, 10)).quantize(16)
    yield "animated.gif", saved(coloured, "GIF", save_all=True, append_images=[other])
    # the same frame 5, 4 pixels into a larger screen: what it leaves free is index 0, or the transparent one
    for name in ("palette", "transparent"):
        data = bytearray(saved(coloured, "GIF", interlace=0, **({"transparency": 3} if name == "transparent" else {})))
        data[6:10] = struct.pack("<HH", W + 11, H + 9)
        at = data.index(b"," + struct.pack("<HHHH", 0, 0, W, H))
        data[at + 1 : at + 5] = struct.pack("<HH", 5, 4)
        yield f"{name}_offset.gif", bytes(data)
        data[6:10] = struct.pack("<HH", 3, 3)  # a screen smaller than its frame
        yield f"{name}_outgrown.gif", bytes(data)


# ---------------------------------------------------------------- BMP and TIFF by hand

def bmp(width, height, bits, rows, palette=b"", compression=0, masks=b"", header=40):
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(rows), 0, 0, len(palette) // 4, 0)
        info += masks
        info += b"\0" * (header - len(info))
    start = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + info + palette + rows


def bmp_rows(samples, bits):
    out = b""
    for row in samples[::-1]:
        text = "".join(format(int(v), f"0{bits}b") for v in row)
        data = bytes(int(text[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(text), 8))
        out += data + b"\0" * (-len(data) % 4)
    return out


def rle(samples, nibbles):
    """Runs, literals, a jump, ends of row and picture."""
    out = b""
    for y, row in enumerate(samples[::-1]):
        row = [int(v) for v in row]
        if nibbles:
            out += bytes([6, row[0] << 4 | row[1], 0, 5, row[2] << 4 | row[3], row[4] << 4 | row[5], row[6] << 4, 0])
        else:
            out += bytes([6, row[0], 0, 5, *row[1:6], 0])
        out += bytes([0, 2, 3, 0]) if y % 3 == 0 else b""
        out += b"".join(bytes([1, v * 17 if nibbles else v]) for v in row[14:])
        out += b"\0\0"
    return out + b"\0\1"


def bmp_files():
    rng = np.random.default_rng(11)
    for bits in (1, 4, 8):
        count = min(1 << bits, 200)
        index, colours = rng.integers(0, count, (H, W)), rng.integers(0, 256, (count, 4)).astype(np.uint8)
        yield f"palette{bits}.bmp", bmp(W, H, bits, bmp_rows(index, bits), colours.tobytes())
        if bits >= 4:
            yield f"rle{bits}.bmp", bmp(W, H, bits, rle(index, bits == 4), colours.tobytes(), 1 if bits == 8 else 2)
        if bits == 4:
            yield "os2.bmp", bmp(W, H, bits, bmp_rows(index, bits), colours[:, :3].tobytes(), header=12)
    grey = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 4, 1)
    yield "grey8.bmp", bmp(W, H, 8, bmp_rows(rng.integers(0, 256, (H, W)), 8), grey.tobytes())
    rgb = picture(W, H, 3, 12)
    yield "rgb24.bmp", saved(Image.fromarray(rgb), "BMP")
    down = b"".join(r[:, ::-1].tobytes() + b"\0" * (-3 * W % 4) for r in rgb)
    yield "rgb24_down.bmp", bmp(W, -H, 24, down)
    wide = rng.integers(0, 1 << 32, (H, W), dtype=np.uint32)
    pad = b"\0\0" if W % 2 else b""
    rows16 = b"".join((r & 0xFFFF).astype("<u2").tobytes() + pad for r in wide)
    yield "rgb555.bmp", bmp(W, H, 16, rows16)
    yield "rgb565.bmp", bmp(W, H, 16, rows16, compression=3, masks=struct.pack("<3I", 0xF800, 0x7E0, 0x1F))
    rows32 = wide.astype("<u4").tobytes()
    yield "rgb32.bmp", bmp(W, H, 32, rows32)
    yield "rgb32_fields.bmp", bmp(W, H, 32, rows32, compression=3, masks=struct.pack("<3I", 0xFF000000, 0xFF0000, 0xFF00))
    masks = struct.pack("<4I", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    yield "rgba32_v5.bmp", bmp(W, H, 32, rows32, compression=3, masks=masks, header=124)


def tiff(width, height, tags, blocks, order="<"):
    """Blocks (strips or tiles) first, then the directory; `tags` is {tag: (type, values)}."""
    data, offsets = b"", []
    for block in blocks:
        offsets.append(8 + len(data))
        data += block + b"\0" * (len(block) % 2)
    tiled = 322 in tags
    tags = {**tags, 256: ("I", [width]), 257: ("I", [height]), 324 if tiled else 273: ("I", offsets),
            325 if tiled else 279: ("I", [len(b) for b in blocks])}
    entries, extra, at = b"", b"", 8 + len(data) + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        raw = struct.pack(order + str(len(values)) + kind, *values)
        if len(raw) > 4:
            pointer = struct.pack(order + "I", at + len(extra))
            extra += raw + b"\0" * (len(raw) % 2)
        else:
            pointer = raw.ljust(4, b"\0")
        entries += struct.pack(order + "HHI", tag, {"B": 1, "H": 3, "I": 4}[kind], len(values)) + pointer
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8 + len(data))
    return head + data + struct.pack(order + "H", len(tags)) + entries + struct.pack(order + "I", 0) + extra


def tiff_raw(samples, photometric, bits, order="<", strip=None, extra=None, more=None, form=1):
    height, width, channels = samples.shape
    strip = strip or height
    kinds = {8: "u1", 16: order + "u2", 32: order + ("f4" if form == 3 else "u4")}

    def pack(part):
        if bits < 8:
            return b"".join(packed_rows(row[None], bits)[1:] for row in part)
        return part.astype(kinds[bits]).tobytes()

    tags = {258: ("H", [bits] * channels), 259: ("H", [1]), 262: ("H", [photometric]), 277: ("H", [channels]), 278: ("I", [strip])}
    if extra is not None:
        tags[338] = ("H", [extra])
    if form != 1:
        tags[339] = ("H", [form])
    return tiff(width, height, {**tags, **(more or {})}, [pack(samples[y : y + strip]) for y in range(0, height, strip)], order)


def tiff_files():
    rng = np.random.default_rng(13)
    for bits in (1, 2, 4, 8):
        grey = rng.integers(0, 1 << bits, (H, W, 1))
        yield f"grey{bits}.tif", tiff_raw(grey, 1, bits)
        yield f"white{bits}.tif", tiff_raw(grey, 0, bits, ">", strip=8)
        if bits != 2:
            colours = {320: ("H", [int(v) for v in rng.integers(0, 65536, 3 << bits)])}
            yield f"palette{bits}.tif", tiff_raw(grey, 3, bits, more=colours)
    wide = rng.integers(0, 600, (H, W, 1))
    yield "grey16.tif", tiff_raw(wide, 1, 16)
    yield "grey16_big.tif", tiff_raw(wide, 1, 16, ">")
    yield "grey32.tif", tiff_raw(wide, 1, 32)
    yield "float32.tif", tiff_raw(rng.normal(128, 120, (H, W, 1)), 1, 32, form=3)
    rgb = picture(W, H, 3, 14)
    rgba = np.concatenate([rgb, picture(W, H, 1, 15)], -1)
    yield "rgb8.tif", tiff_raw(rgb, 2, 8, strip=7)
    yield "rgb16.tif", tiff_raw(rgb.astype(np.uint16) * 251, 2, 16)
    yield "rgb16_big.tif", tiff_raw(rgb.astype(np.uint16) * 251, 2, 16, ">")
    yield "rgba8.tif", tiff_raw(rgba, 2, 8, extra=2)
    yield "rgbx8.tif", tiff_raw(rgba, 2, 8, extra=0)
    yield "rgba8_multiplied.tif", tiff_raw(np.minimum(rgba, rgba[..., 3:]), 2, 8, extra=1)
    yield "grey_alpha8.tif", tiff_raw(rgba[..., :2], 1, 8, extra=2)
    yield "cmyk8.tif", tiff_raw(rgba, 5, 8)
    yield "orient5.tif", tiff_raw(rgb, 2, 8, more={274: ("H", [5])})
    yield "orient3.tif", tiff_raw(rgb, 2, 8, more={274: ("H", [3])})
    plain = {258: ("H", [8, 8, 8]), 259: ("H", [1]), 262: ("H", [2]), 277: ("H", [3])}
    planes = [rgb[..., c].tobytes() for c in range(3)]
    yield "planar.tif", tiff(W, H, {**plain, 278: ("I", [H]), 284: ("H", [2])}, planes)
    padded = np.zeros((32, 48, 3), np.uint8)
    padded[:H, :W] = rgb
    tiles = [padded[y : y + 16, x : x + 16].tobytes() for y in (0, 16) for x in (0, 16, 32)]
    yield "tiled.tif", tiff(W, H, {**plain, 322: ("I", [16]), 323: ("I", [16])}, tiles)
    image = Image.fromarray(rgb)
    for kind in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield f"{kind}.tif", saved(image, "TIFF", compression=kind)
    yield "jpeg.tif", saved(image, "TIFF", compression="jpeg", quality=85)
    yield "group4.tif", saved(image.convert("1"), "TIFF", compression="group4")


def expect(directory, lines):
    for path in sorted(directory.iterdir()):
        if path.suffix == ".txt":
            continue
        with Image.open(path) as opened:
            rgb = ImageOps.exif_transpose(opened).convert("RGB")
        lines.append(f"decode {path.name} {rgb.width} {rgb.height} {fnv(rgb.tobytes())}")
    sizes = [(16, 16), (37, 13), (90, 29), (30, 5), (7, 50), (100, 80), (1, 1), (36, 28), (53, 41)]
    for name in ("rgb8.png", "exif6.jpg"):
        with Image.open(directory / name) as opened:
            rgb = ImageOps.exif_transpose(opened).convert("RGB")
        lines.append(f"grey {name} {fnv(rgb.convert('L').tobytes())}")
        for channels, source in ((3, rgb), (1, rgb.convert("L"))):
            for filter_name, number in FILTERS.items():
                for width, height in sizes:
                    out = source.resize((width, height), number)
                    lines.append(f"resize {name} {channels} {filter_name} {width} {height} {fnv(out.tobytes())}")


def main():
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.iterdir():
        old.unlink()
    for make in (png_files, jpeg_files, webp_files, gif_files, bmp_files, tiff_files):
        for name, data in make():
            (directory / name).write_bytes(data)
    lines = [f"# made by tools/golden_image.py with Pillow {PIL.__version__}"]
    expect(directory, lines)
    (directory / "expected.txt").write_text("\n".join(lines) + "\n")


main()
