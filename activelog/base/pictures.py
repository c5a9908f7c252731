"""Pictures as people upload them, cleaned and scaled. CPU-bound: call it by `offload`."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP")
MOST_PIXELS = 60_000_000  # of a JPEG, which is decoded at the size that is wanted
MOST_WHOLE_PIXELS = 36_000_000  # of others, which are decoded as a whole
MOST_SCANS = 60  # of a progressive JPEG: each costs as much as the picture
_SCAN = b"\xff\xda"
_QUALITY = 85


class NotAPicture(Exception):
    """What is wrong with it, for people. (It crosses a process, so it has one argument.)"""


@dataclass(frozen=True)
class Picture:
    """A JPEG without metadata."""

    data: bytes
    width: int
    height: int


def clean_picture(source: bytes | Path, longest_side: int) -> Picture:
    """Upright, scaled down to fit, and drawn anew: what it told beside the picture (where it was
    taken, by which camera) is gone. Raises NotAPicture."""
    data = source if isinstance(source, bytes) else source.read_bytes()
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            _check_cost(image, data)
            image.draft("RGB", (longest_side, longest_side))
            image.thumbnail((longest_side, longest_side))
            flat = _on_white(ImageOps.exif_transpose(image))
    except (NotAPicture, MemoryError):
        raise
    except Exception:  # what broken headers make the decoders raise is not documented
        raise NotAPicture("the body is no JPEG, PNG or WebP picture") from None
    flat.info.clear()  # what Pillow would write into the file beside the picture: comments, XMP
    out = BytesIO()
    flat.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return Picture(out.getvalue(), flat.width, flat.height)


def _check_cost(image: Image.Image, data: bytes) -> None:
    """Before anything is decoded."""
    most = MOST_PIXELS if image.format == "JPEG" else MOST_WHOLE_PIXELS
    if image.width * image.height > most:
        raise NotAPicture(f"the picture has more than {most:,} pixels")
    if image.format == "JPEG" and data.count(_SCAN) > MOST_SCANS:
        raise NotAPicture(f"the picture has more than {MOST_SCANS} scans")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey, which would be cut off at 255
        image = image.point(lambda value: value / 256).convert("L")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return image.convert("RGB")
