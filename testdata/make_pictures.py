#!/usr/bin/env python3
"""Writes `pictures/`: made-up pictures in several formats, and what Pillow and numpy make of them.

    pip install pillow==13.0.0 numpy
    python make_pictures.py

`tests/suite/samples/pictures.rs` compares: `NAME.WAY.npy` holds the bytes of a picture after Pillow brought it to a size.
"""

from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent / "pictures"
SIZE = (20, 16)


def photo(generator, width, height):
    """Waves in three colors, and noise."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([127 + 100 * np.sin(x / 7 + y / 9), 127 + 90 * np.cos(x / 5 - y / 8), 127 + 80 * np.sin(x * y / 90)], -1)
    return Image.fromarray(np.clip(waves + generator.normal(0, 9, waves.shape), 0, 255).astype("uint8"))


def crop(picture, share):
    """torchvision's Resize of the shorter side and CenterCrop, for a square."""
    side = SIZE[1]
    short = round(side / share)
    width, height = picture.size
    wide, high = (short, int(short * height / width)) if width < height else (int(short * width / height), short)
    left, top = int(round((wide - side) / 2.0)), int(round((high - side) / 2.0))
    return picture.resize((wide, high), Image.BILINEAR).crop((left, top, left + side, top + side))


def letterbox(picture):
    """All of it on gray, in the middle."""
    ratio = min(SIZE[0] / picture.width, SIZE[1] / picture.height)
    wide, high = round(picture.width * ratio), round(picture.height * ratio)
    ground = Image.new("RGB", SIZE, (114, 114, 114))
    ground.paste(picture.resize((wide, high), Image.BILINEAR), ((SIZE[0] - wide) // 2, (SIZE[1] - high) // 2))
    return ground


def main():
    """Writes all files."""
    generator = np.random.default_rng(0)
    HERE.mkdir(exist_ok=True)
    pictures = {
        "wide.png": photo(generator, 50, 23),
        "high.bmp": photo(generator, 21, 64),
        "small.webp": photo(generator, 9, 11),
        "same.png": photo(generator, *SIZE),
        "gray.png": photo(generator, 30, 30).convert("L"),
        "palette.png": photo(generator, 31, 30).convert("P"),
        "full.jpg": photo(generator, 40, 32),
        "halved.jpg": photo(generator, 41, 33),
    }
    clear = photo(generator, 24, 40).convert("RGBA")
    clear.putalpha(photo(generator, 24, 40).convert("L"))
    pictures["clear.png"] = clear
    options = {"small.webp": {"lossless": True}, "full.jpg": {"quality": 90, "subsampling": 0}}
    for name, picture in pictures.items():
        picture.save(HERE / name, **options.get(name, {}))
        picture = Image.open(HERE / name)
        rgb = picture.convert("RGB")
        ways = {
            "stretch": rgb.resize(SIZE, Image.BILINEAR),
            "gray": picture.convert("L").resize(SIZE, Image.BILINEAR),
            "crop": crop(rgb, 0.875),
            "letterbox": letterbox(rgb),
        }
        for way, result in ways.items():
            np.save(HERE / f"{name}.{way}.npy", np.asarray(result))


if __name__ == "__main__":
    main()
