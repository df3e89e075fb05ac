/**
 * @file What explains figures of bench/peers: each note says how it was found, as it is about a state of both sides.
 */
import type { ModelName } from "./models.ts";

const AS_IS =
  "quantize_dynamic on the file as it is fails in onnxruntime 1.30 (weights in Constant nodes are no initializers); quantize_static runs and quantizes weights as activations: the file grows.";

const MEMORY =
  "Peak memory, where Tersor is behind: after imports Node with tsx, loader and onnxruntime-node holds about 110 MB, Python 74 (Node alone 39, with tsx 74). The rest of dynamic-int8 is two sessions: openCalibration, which finds input shapes that run (50-60 MB), and observeShapes (recognition: 291-306 MB with it, 196-207 without; two runs each).";

const MATMUL =
  "'ort dynamic, MatMul' leaves every convolution in float: its SQNR is that of a file that is hardly quantized.";

const STORED =
  "Bytes, where Tersor is behind: from minElements = 2048 on, storeRemaining leaves the small weights in float32 too, as it gets the same option. Tried at b3da441 with 256 there: direction static 315 to 259 KB and dynamic 303 to 247, detection 1500 to 1480 and 1461 to 1441, recognition less than 0.1 %; speed the same within the intervals; SQNR -3.4 and -2.8 dB for direction, -0.1 to +0.4 for the others.";

const CHOSEN =
  "minElements = 2048 of static-int8 and dynamic-int8 was set after looking at figures of these three models (12.0 dB before for detection's static file, 18.6 with it): how much of the lead over the peer carries over to other models is not known from this bench.";

export const NOTES: Readonly<Record<ModelName, readonly string[]>> = {
  recognition: [
    AS_IS,
    "Entropy and Percentile refuse calibration samples of different widths; their two variants get them padded to the largest.",
    "300 samples of one seed: the intervals of CER against float32 (difference) of the usable files are 0.2 to 1.8 points wide, and those of static-int8 and of the peer's static files overlap: the order of their CER is not shown. SQNR of a softmax over 6,625 classes hangs on a few flipped characters: on 16 samples one and the same file had 18.1 dB in node and 25.0 in WASM.",
    "The dynamic files: the peer keeps one scale per tensor for ConvInteger even with per_channel, Tersor one per output channel.",
    MATMUL,
    STORED,
    MEMORY,
    CHOSEN,
  ],
  detection: [
    AS_IS,
    "quant_pre_process fails (incomplete symbolic shape inference) and passes with auto_merge=True, which the prepared variants use; of their 7 to 15 s most is that inference. With skip_symbolic_shape it returns weights in Constant nodes again: the optimized model is thrown away.",
    "The model has no MatMul: 'ort dynamic, MatMul' changes nothing.",
    STORED,
    MEMORY,
    "static-int8 peaks above the peer's MinMax (332 against 285 MB) by about as much as it starts above it (109 against 74); with the option budget 256, 64, 16 it peaked at 350, 327, 300 MB (one run each). The peer's histogram calibrators hold all values: 1.9 GB here, 8.2 GB for recognition.",
    CHOSEN,
  ],
  direction: [AS_IS, MATMUL, STORED, MEMORY, CHOSEN],
};
