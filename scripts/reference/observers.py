"""Reference data for src/quantize/observers: ranges and qparams of torch.ao.quantization's observers and of onnxruntime's
calibrators. Writes test/reference/observers.json. Run: python3 scripts/reference/observers.py (torch, onnxruntime, numpy).

The inputs are not stored: `sample` here and in src/quantize/observers/reference.test.ts make the same float32 numbers from
an integer generator, without a transcendental function.
"""

import contextlib
import io
import json
import pathlib
import warnings

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization.calibrate import HistogramCollector
from torch.ao.quantization import observer as ao

warnings.filterwarnings("ignore")

LENGTH = 6000


def sample(kind: str, seed: int, scale: float, length: int) -> np.ndarray:
    state = seed
    values = np.empty(length, np.float64)
    for i in range(length):
        total = 0
        for _ in range(4):
            state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
            total += state >> 8
        # Near normal: four uniform numbers, centred; in -2 ... 2.
        x = total / 2**24 - 2
        if kind == "relu":
            x = max(x, 0.0)
        elif kind == "skewed":
            x = x * x * x * x if x > 0 else x / 8
        elif kind == "outliers":
            x = x * 40 if i % 997 == 500 else x
        elif kind == "one-outlier":
            x = 1000.0 if i == 777 else x
        elif kind == "positive":
            x = x + 3
        elif kind == "negative":
            x = x - 2.5
        elif kind == "constant":
            x = 0.7
        elif kind == "zero":
            x = 0.0
        # A zero in each sample: onnxruntime drops magnitudes below the first sample's smallest.
        values[i] = 0.0 if i == 0 and kind not in ("positive", "negative", "constant") else x * scale
    return values.astype(np.float32)


CASES = [
    # name, kind, scales of the samples (whose seeds are 17, 18, ...)
    ("normal, one sample", "normal", [1]),
    ("normal", "normal", [1, 1.5, 0.5, 4]),
    ("normal, growing", "normal", [0.1, 0.2, 1, 3]),
    ("normal, tiny", "normal", [1e-5, 2e-5]),
    ("normal, huge", "normal", [1e8, 1.5e8]),
    ("relu", "relu", [1, 2, 1.25]),
    ("skewed", "skewed", [1, 1.1, 0.9]),
    ("outliers", "outliers", [1, 1, 1]),
    ("one outlier", "one-outlier", [1]),
    ("positive", "positive", [1]),
    ("negative", "negative", [1]),
    ("constant", "constant", [1, 1]),
    ("constants", "constant", [1, 2, -1]),
    ("zeros", "zero", [1, 1]),
    ("zeros, then normal", "normal", [0, 1]),
]


INT8, UINT8, INT16, UINT16 = "int8", "uint8", "int16", "uint16"
SCHEMES = [
    # dtype, symmetric, reduceRange
    (UINT8, False, False),
    (UINT8, False, True),
    (UINT8, True, False),
    (INT8, True, False),
    (INT8, True, True),
    (INT8, False, False),
    (INT8, False, True),
    (INT16, True, False),
    (INT16, False, False),
    (UINT16, False, False),
    (UINT16, True, False),
    ("int4", True, False),
    ("uint4", False, False),
]
DTYPES = {INT8: torch.qint8, UINT8: torch.quint8, INT16: torch.int16, UINT16: torch.uint16}
DTYPES |= {"int4": torch.qint8, "uint4": torch.quint8}
QUANT = {"int4": {"quant_min": -8, "quant_max": 7}, "uint4": {"quant_min": 0, "quant_max": 15}}


def torch_observer(kind, scheme, channels=False, **extra):
    dtype, symmetric, reduce_range = scheme
    qscheme = {
        (False, False): torch.per_tensor_affine,
        (False, True): torch.per_tensor_symmetric,
        (True, False): torch.per_channel_affine,
        (True, True): torch.per_channel_symmetric,
    }[channels, symmetric]
    options = {"dtype": DTYPES[dtype], "qscheme": qscheme, **QUANT.get(dtype, {}), **extra}
    if reduce_range:
        options["reduce_range"] = True
    return kind(**options)


def run(observer, data) -> dict:
    for x in data:
        observer(torch.from_numpy(x))
    scale, zero_point = observer.calculate_qparams()
    return {"scale": [float(s) for s in scale], "zeroPoint": [int(z) for z in zero_point]}


def numbers(values) -> list[float]:
    return [float(v) for v in np.atleast_1d(np.asarray(values, np.float32))]


def collector(method, symmetric, bins, percentile, data):
    made = HistogramCollector(method, symmetric, bins, 128, percentile, "same")
    with contextlib.redirect_stdout(io.StringIO()):
        for x in data:
            made.collect({"x": x})
        low, high = made.compute_collection_result()["x"][:2]
    return numbers([low, high])


def per_tensor() -> list[dict]:
    rows = []
    for name, kind, scales in CASES:
        data = [sample(kind, 17 + i, scale, LENGTH) for i, scale in enumerate(scales)]
        row = {"name": name, "kind": kind, "scales": scales, "torch": [], "onnxruntime": []}
        for scheme in SCHEMES:
            dtype, symmetric, reduce_range = scheme
            entry = {"dtype": dtype, "symmetric": symmetric, "reduceRange": reduce_range}
            entry["min-max"] = run(torch_observer(ao.MinMaxObserver, scheme), data)
            entry["moving-average-min-max"] = run(torch_observer(ao.MovingAverageMinMaxObserver, scheme), data)
            if dtype not in QUANT:
                histogram = torch_observer(ao.HistogramObserver, scheme)
                entry["histogram"] = run(histogram, data)
                entry["histogram"]["range"] = numbers([float(v) for v in histogram._non_linear_param_search()])
            row["torch"].append(entry)
        for bins in (128, 2048):
            # Beyond 8,192 bins, ours merges pairs.
            if max(scales) / (scales[0] or 1) * bins > 8192:
                continue
            for percentile in (99.999, 99.9, 95):
                for symmetric in (False, True):
                    found = collector("percentile", symmetric, bins, percentile, data)
                    options = {"percentile": percentile, "symmetric": symmetric, "bins": bins}
                    row["onnxruntime"].append({"observer": "percentile", **options, "range": found})
        for bins in (128, 512, 2048):
            # onnxruntime adds bins as the range grows, and its search is slow in Python.
            if max(scales) / (scales[0] or 1) * bins > 2100:
                continue
            found = collector("entropy", False, bins, 0, data)
            row["onnxruntime"].append({"observer": "entropy", "symmetric": False, "bins": bins, "range": found})
        rows.append(row)
        print(name, flush=True)
    return rows


def per_channel() -> list[dict]:
    rows = []
    for axis in (0, 1, 2):
        data = [sample("normal", 5 + i, 1 + i / 3, 4 * 5 * 6).reshape(4, 5, 6) for i in range(3)]
        row = {"dims": [4, 5, 6], "axis": axis, "torch": []}
        for scheme in SCHEMES:
            dtype, symmetric, reduce_range = scheme
            entry = {"dtype": dtype, "symmetric": symmetric, "reduceRange": reduce_range}
            for name, kind in (
                ("min-max", ao.PerChannelMinMaxObserver),
                ("moving-average-min-max", ao.MovingAveragePerChannelMinMaxObserver),
            ):
                entry[name] = run(torch_observer(kind, scheme, channels=True, ch_axis=axis), data)
            row["torch"].append(entry)
        rows.append(row)
    return rows


def main() -> None:
    document = {
        "versions": {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__, "numpy": np.__version__},
        "length": LENGTH,
        "perTensor": per_tensor(),
        "perChannel": per_channel(),
    }
    path = pathlib.Path(__file__).parents[2] / "test" / "reference" / "observers.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, separators=(",", ":")) + "\n")
    print(path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
