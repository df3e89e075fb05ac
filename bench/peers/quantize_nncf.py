"""The other peer's side: quantizes one file with NNCF as its JSON argument says and prints one JSON line.

{ "model", "output", "data": folder of .npz, "prepare": true, "options": {...} }

Options: `full_bias_correction` (default: the fast one), `transformer` (model_type TRANSFORMER, which brings SmoothQuant), `mixed` (preset
MIXED: asymmetric activations), `seven_bits` (OverflowFix.ENABLE), `exclude` (names of nodes to leave in float).
The model goes through the same preparation as onnxruntime.quantization's: opset 13, weights out of Constant nodes.
"""
import json
import logging
import sys
import tempfile
import time

import nncf
import onnx

from quantize import Samples, census, prepare, resident


def main(spec):
    options = dict(spec["options"])
    notes = []
    reader = Samples(spec["data"])
    samples = [reader.load(index) for index in range(len(reader.files))]
    with tempfile.TemporaryDirectory() as folder:
        model = onnx.load(prepare(spec["model"], folder, notes))
        there = {node.name for node in model.graph.node}
        excluded = options.get("exclude", [])
        names = [name for name in excluded if name in there]
        if excluded:
            notes.append(f"{len(names)} of {len(excluded)} named nodes excluded")
        overflow = nncf.OverflowFix.ENABLE if options.get("seven_bits") else nncf.OverflowFix.DISABLE
        result = nncf.quantize(
            model,
            nncf.Dataset(samples),
            subset_size=len(samples),
            preset=nncf.QuantizationPreset.MIXED if options.get("mixed") else nncf.QuantizationPreset.PERFORMANCE,
            fast_bias_correction=not options.get("full_bias_correction", False),
            model_type=nncf.ModelType.TRANSFORMER if options.get("transformer") else None,
            ignored_scope=nncf.IgnoredScope(names=names) if names else None,
            advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=overflow),
        )
        onnx.save(result, spec["output"])
    return notes


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    nncf.set_log_level(logging.ERROR)
    spec = json.loads(sys.argv[1])
    if spec.get("kind") == "versions":
        print(json.dumps({"seconds": 0, "baseBytes": 0, "peakBytes": 0, "notes": [f"nncf {nncf.__version__}"]}))
        sys.exit(0)
    base = resident("VmRSS")
    start = time.perf_counter()
    notes = main(spec)
    seconds = time.perf_counter() - start
    peak = resident("VmHWM")
    notes.append(census(spec["output"]))
    print(json.dumps({"seconds": seconds, "baseBytes": base, "peakBytes": peak, "notes": notes}))
