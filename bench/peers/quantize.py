"""The peer's side: quantizes one file with onnxruntime.quantization as its JSON argument says and prints one JSON line.

{ "model", "output", "data": folder of .npz or null, "kind": "dynamic" | "static", "prepare": bool, "options": {...} }

Of the options, those that are not the quantizer's own: `exclude_depthwise`; `exclude`, names of nodes to leave in float; `pad`, zeros to
the right up to the largest width; `one_by_one`, samples given to a histogram calibrator one at a time, so that it neither holds the
values of all of them nor refuses samples of different shapes (it merges the histograms itself).

`prepare` does what the documentation asks for before: opset 13 (per-channel QDQ is invalid below) and quant_pre_process, whose
optimization by ONNX Runtime moves weights out of Constant nodes. It is part of the time, as Tersor's clean-up is of Tersor's.
"""
import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import numpy
import onnx
import onnx.version_converter
import onnxruntime
from onnxruntime.quantization.calibrate import HistogramCalibrater
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

OPSET = 13
TYPES = {"int8": QuantType.QInt8, "uint8": QuantType.QUInt8}
METHODS = {
    "MinMax": CalibrationMethod.MinMax,
    "Entropy": CalibrationMethod.Entropy,
    "Percentile": CalibrationMethod.Percentile,
}


def resident(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    return 0


class Samples(CalibrationDataReader):
    """Samples in order; with `pad`, zeros to the right up to the largest width: the histogram calibrators want equal shapes."""

    def __init__(self, folder, pad=False):
        self.files = sorted(Path(folder).glob("*.npz"), key=lambda path: int(path.stem))
        self.next_file = 0
        self.width = max(self.load(index)["x"].shape[-1] for index in range(len(self.files))) if pad else 0

    def load(self, index):
        arrays = numpy.load(self.files[index])
        return {name: arrays[name] for name in arrays.files}

    def get_next(self):
        if self.next_file >= len(self.files):
            return None
        sample = self.load(self.next_file)
        self.next_file += 1
        missing = self.width - sample["x"].shape[-1]
        if missing > 0:
            sample["x"] = numpy.pad(sample["x"], ((0, 0), (0, 0), (0, 0), (0, missing)))
        return sample


class OneSample(CalibrationDataReader):
    def __init__(self, sample):
        self.sample = sample

    def get_next(self):
        sample, self.sample = self.sample, None
        return sample


def calibrate_one_by_one():
    collect = HistogramCalibrater.collect_data

    def collect_data(self, reader):
        while (sample := reader.get_next()) is not None:
            collect(self, OneSample(sample))

    HistogramCalibrater.collect_data = collect_data


def prepare(model, folder, notes):
    path = str(Path(folder) / "prepared.onnx")
    proto = onnx.load(model)
    version = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
    if version < OPSET:
        proto = onnx.version_converter.convert_version(proto, OPSET)
    try:
        quant_pre_process(proto, path)
    except Exception as error:  # It raises plain Exceptions.
        # (Its skip_symbolic_shape would be no way out: the optimized model, with the weights moved, is thrown away then.)
        notes.append(f"quant_pre_process: {error}; done again with auto_merge")
        quant_pre_process(proto, path, auto_merge=True)
    return path


def depthwise(model):
    graph = onnx.load(model).graph
    shapes = {tensor.name: tensor.dims for tensor in graph.initializer}
    names = []
    for node in graph.node:
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        if node.op_type == "Conv" and groups > 1 and shapes.get(node.input[1], [0, 0])[1] == 1:
            names.append(node.name)
    return names


def main(spec):
    options = dict(spec["options"])
    notes = []
    with tempfile.TemporaryDirectory() as folder:
        model = prepare(spec["model"], folder, notes) if spec["prepare"] else spec["model"]
        if options.pop("exclude_depthwise", False):
            options["nodes_to_exclude"] = depthwise(model)
            notes.append(f"{len(options['nodes_to_exclude'])} depthwise convolutions excluded")
        excluded = options.pop("exclude", [])
        if excluded:
            there = {node.name for node in onnx.load(model).graph.node}
            names = [name for name in excluded if name in there]
            options["nodes_to_exclude"] = options.get("nodes_to_exclude", []) + names
            notes.append(f"{len(names)} of {len(excluded)} named nodes excluded")
        if options.pop("one_by_one", False):
            calibrate_one_by_one()
        for key in ("weight_type", "activation_type"):
            if key in options:
                options[key] = TYPES[options[key]]
        if spec["kind"] == "dynamic":
            quantize_dynamic(model, spec["output"], **options)
        else:
            if "calibrate_method" in options:
                options["calibrate_method"] = METHODS[options["calibrate_method"]]
            pad = options.pop("pad", False)
            quantize_static(model, spec["output"], Samples(spec["data"], pad), **options)
    return notes


def census(path):
    counts = {}
    for node in onnx.load(path).graph.node:
        if node.op_type in ("Constant",):
            continue
        counts[node.op_type] = counts.get(node.op_type, 0) + 1
    wanted = ("Conv", "ConvInteger", "MatMul", "MatMulInteger", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")
    return ", ".join(f"{counts[name]} {name}" for name in wanted if name in counts)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    spec = json.loads(sys.argv[1])
    if spec.get("kind") == "versions":
        print(json.dumps({"seconds": 0, "baseBytes": 0, "peakBytes": 0, "notes": [
            f"Python {sys.version.split()[0]}", f"onnxruntime {onnxruntime.__version__}", f"onnx {onnx.__version__}", f"numpy {numpy.__version__}"]}))
        sys.exit(0)
    base = resident("VmRSS")
    start = time.perf_counter()
    notes = main(spec)
    seconds = time.perf_counter() - start
    peak = resident("VmHWM")
    notes.append(census(spec["output"]))
    print(json.dumps({"seconds": seconds, "baseBytes": base, "peakBytes": peak, "notes": notes}))
