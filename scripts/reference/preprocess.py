"""Reference data for src/data/resize.test.ts and preprocess.test.ts: what Pillow makes of small images.

Needs Pillow and NumPy. Writes test/reference/preprocess.json, with their versions inside:
    python3 scripts/reference/preprocess.py
"""

import json
from pathlib import Path

import numpy
import PIL
from PIL import Image

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
SIZES = [((13, 9), (5, 4)), ((13, 9), (29, 20)), ((7, 11), (7, 4)), ((6, 5), (9, 5)), ((40, 3), (3, 8))]
MEAN = [0.485, 0.456, 0.406]
STD = [0.229, 0.224, 0.225]


def picture(width: int, height: int, channels: int) -> numpy.ndarray:
    """Bytes that the test makes again: a linear congruential generator."""
    state, values = 12345, []
    for _ in range(width * height * channels):
        state = (state * 1103515245 + 12345) % 2**31
        values.append(state >> 16 & 255)
    return numpy.array(values, numpy.uint8).reshape(height, width, channels)


def resizes() -> list:
    cases = []
    for (source, target) in SIZES:
        for name, resample in FILTERS.items():
            image = Image.fromarray(picture(*source, 3), "RGB").resize(target, resample)
            cases.append({"filter": name, "from": source, "to": target, "data": numpy.asarray(image).ravel().tolist()})
    return cases


def torchvision(width: int, height: int, shortest: int, crop: int) -> dict:
    """torchvision's Resize(shortest), CenterCrop(crop), ToTensor(), Normalize() by their definitions."""
    image = Image.fromarray(picture(width, height, 3), "RGB")
    short, long = min(width, height), max(width, height)
    sides = shortest, int(shortest * long / short)
    size = sides if width <= height else sides[::-1]
    image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = int(round((size[0] - crop) / 2.0)), int(round((size[1] - crop) / 2.0))
    pixels = numpy.asarray(image.crop((left, top, left + crop, top + crop)))
    values = pixels.transpose(2, 0, 1).astype(numpy.float32) / numpy.float32(255)
    mean, std = (numpy.array(row, numpy.float32).reshape(3, 1, 1) for row in (MEAN, STD))
    values = (values - mean) / std
    return {
        "width": width,
        "height": height,
        "shortest": shortest,
        "crop": crop,
        "bits": values.view(numpy.int32).ravel().tolist(),
    }


grey = numpy.asarray(Image.fromarray(picture(13, 9, 3), "RGB").convert("L"))
result = {
    "versions": {"pillow": PIL.__version__, "numpy": numpy.__version__},
    "resizes": resizes(),
    "torchvision": [torchvision(13, 9, 8, 5), torchvision(9, 14, 7, 6), torchvision(31, 20, 10, 9)],
    "grey": grey.ravel().tolist(),
}
path = Path(__file__).parents[2] / "test/reference/preprocess.json"
path.write_text(json.dumps(result) + "\n")
print(path.stat().st_size, "bytes")
