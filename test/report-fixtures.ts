/**
 * @file Data for the tests of reports: one result of each kind, with everything that there can be in it. Names are as bad
 * as names in files can be.
 */

import type { DoctorGroup } from "../src/analyze/doctor.ts";
import type { FileMeasurement, TargetMeasurement } from "../src/analyze/job.ts";
import type { ReportDetails } from "../src/analyze/report/collect.ts";
import type { CompressReport } from "../src/analyze/report/compress-report.ts";
import type { QuantizeReport } from "../src/analyze/report/quantize-report.ts";
import type { ValueHistogram } from "../src/analyze/report/value-histogram.ts";
import type { VerifyReport } from "../src/analyze/report/verify-report.ts";
import type { Sensitivity } from "../src/analyze/sensitivity.ts";
import type { OutputComparison } from "../src/measure/compare.ts";
import type { MetricResult } from "../src/measure/meter.ts";

export const HOSTILE = `<script>alert(1)</script>"'&\u202e`;

/** What a reader sees of it. */
export const SHOWN = HOSTILE.replace("\u202e", "\ufffd");

const output: OutputComparison = {
  kind: "float",
  name: HOSTILE,
  samples: 100,
  elements: 1000,
  maxAbs: 0.0512,
  relative: 0.05,
  cosine: 0.9989,
  sqnr: 26.34,
  agreementArgmax: 0.985,
  nonFinite: { reference: 0, other: 0, differing: 0 },
};

const metric: MetricResult = {
  name: "top-1",
  direction: "higher",
  unit: "share",
  against: "labels",
  samples: 100,
  value: 0.97,
  low: 0.93,
  high: 0.99,
  original: 0.98,
  difference: { value: -0.01, low: -0.03, high: 0 },
  differing: 1,
};

const original: FileMeasurement = {
  name: "original",
  loadMs: 40,
  latency: { p50: 12.5, p95: 14.1 },
  peakMemory: 86e6,
};

const smaller: FileMeasurement = {
  name: "static-int8",
  loadMs: 25,
  outputs: [output],
  metrics: [metric],
  latency: {
    p50: 6.21,
    p95: 7.03,
    ratio: { median: 2.01, low: 1.95, high: 2.08, count: 100 },
    verdict: "faster",
  },
  peakMemory: 71e6,
};

export const proven: TargetMeasurement = {
  target: "node-cpu",
  runtime: "onnxruntime-node 1.30.0",
  threads: 1,
  samples: 100,
  generated: false,
  dataName: `${HOSTILE}.mjs`,
  shapes: { x: [1, 3, 48, 192] },
  files: [original, smaller],
};

export const smokeTested: TargetMeasurement = {
  ...proven,
  target: "web-wasm",
  runtime: "onnxruntime-web 1.30.0",
  samples: 4,
  generated: true,
  host: {
    name: "Chromium 150 (headless)",
    userAgent: "Mozilla/5.0",
    cores: 4,
    secure: true,
    isolated: true,
    gpu: { vendor: "google", architecture: "swiftshader", software: true, float16: false },
  },
  notes: ["timed on a software adapter"],
  files: [
    { ...original, placement: { nodes: 193, onCpu: { Clip: 18 } } },
    {
      ...smaller,
      placement: { nodes: 175, onCpu: {} },
      metrics: [],
      config: { "session.disable_quant_qdq": "1" },
      latency: {
        p50: 15,
        p95: 16,
        ratio: { median: 0.83, low: 0.8, high: 0.86, count: 100 },
        verdict: "slower",
      },
    },
  ],
};

export const notRun: TargetMeasurement = {
  target: "openvino",
  notRunHere: "no runtime <here>",
  rules: [{ file: "static-int8", nodes: 8, rules: ["one"], broken: [`${HOSTILE}: scales must be constants`] }],
  files: [],
};

export const machine = {
  processor: "Some & Processor",
  cores: 4,
  vnni: false,
  platform: "linux x64",
  host: "Node 20.20.2",
};

export const histogram: ValueHistogram = {
  name: HOSTILE,
  node: HOSTILE,
  opType: "Relu",
  elements: 1_234_567,
  nonFinite: 2,
  low: -1,
  high: 9,
  counts: Array.from({ length: 256 }, (_, i) => (i < 200 ? 200 - i : 0)),
  range: { min: -0.5, max: 6.5, dtype: "uint8", scale: 0.0274, zeroPoint: 18 },
  dynamic: false,
  below: 0.0001,
  above: 0.0123,
};

const values = Array.from({ length: 30 }, (_, i) => ({
  name: `v${i}`,
  node: i === 7 ? HOSTILE : `node${i}`,
  opType: "Conv",
  sqnr: i === 0 ? Number.POSITIVE_INFINITY : 50 - i,
  cosine: 0.99,
  maxAbs: 0.1,
  input: i === 0 ? Number.POSITIVE_INFINITY : 51 - i,
  drop: 1,
  added: i / 1000,
}));

export const details: ReportDetails = {
  tensors: { values, missing: 3, samples: 4 },
  histograms: [histogram, { ...histogram, name: "free", range: undefined, dynamic: true, below: 0, above: 0 }],
  leftOut: [`Something was left out: ${HOSTILE}.`],
};

export const sensitivity: Sensitivity = {
  mode: "quantize-one",
  metric: "sqnr",
  unit: "dB",
  original: Number.POSITIVE_INFINITY,
  all: 30,
  samples: 16,
  nodes: [
    { node: HOSTILE, opType: "Conv", loss: 0.004, value: 24, bytesSaved: 1000 },
    { node: "b", opType: "MatMul", loss: 0.001, value: 30 },
  ],
  untried: [{ name: "c", opType: "Conv" }],
};

const report = {
  changed: 12,
  changes: [`12 computed in 8 bits & ${HOSTILE}`],
  leftAlone: Array.from({ length: 20 }, (_, i) => ({
    subject: i === 0 ? HOSTILE : `n${i}`,
    opType: "Conv",
    reason: `its weight has ${100 + i} elements, fewer than 2048`,
  })),
  saturation: [
    { subject: HOSTILE, opType: "Conv", pairs: 1000, saturated: 3, share: 0.003, sqnr: 25, reduced: true },
    {
      subject: "ok",
      opType: "Conv",
      pairs: 1000,
      saturated: 0,
      share: 0,
      sqnr: Number.POSITIVE_INFINITY,
      reduced: false,
    },
  ],
};

const ledger = {
  rows: [
    {
      name: HOSTILE,
      users: ["Conv"],
      dtype: "float32" as const,
      dims: [8, 8],
      before: 256,
      after: 80,
      parts: [{ name: "w_int8", dtype: "int8" as const, dims: [8, 8], byteLength: 64 }],
    },
  ],
  before: 256,
  after: 80,
};

const drop = {
  metric: "top-1",
  ok: false,
  loss: 0.01,
  bound: 0.03,
  limit: 0.01,
  kind: "points" as const,
  text: `top-1 loses 1.00 points, at worst 3.00 points (95 %, 100 samples): over 1pt ${HOSTILE}`,
  target: "node-cpu" as const,
  file: "static-int8",
};

export const quantizeData: QuantizeReport = {
  command: "tersor quantize 'a b.onnx' --seed 0",
  date: "2026-01-02 03:04 UTC",
  version: "0.0.0",
  result: {
    input: { path: `models/${HOSTILE}.onnx`, byteLength: 10_800_000 },
    output: {
      path: `models/${HOSTILE}.int8.onnx`,
      byteLength: 3_150_000,
      compressed: { bytes: 3_150_000, gzip: 2_660_000, brotli: 2_630_000 },
    },
    scheme: "static-int8",
    reason: "it is the smaller one",
    report,
    seconds: 3.7,
    ledger,
    others: [{ scheme: "weight-int8", byteLength: 3_000_000, report, judgements: [] }],
    targets: [proven, smokeTested, notRun],
    drops: [drop],
    ok: false,
    machine,
  },
  compressed: { bytes: 10_800_000, gzip: 9_900_000, brotli: 9_800_000 },
  details,
  sensitivity,
  saturation: { products: 12, canSaturate: [HOSTILE, "other"] },
};

export const verifyData: VerifyReport = {
  original: { path: "a.onnx", byteLength: 1000 },
  other: { path: "b.onnx", byteLength: 400 },
  targets: [proven],
  ok: true,
  machine: { ...machine, vnni: true },
  details: { tensors: { values: [], missing: 2, samples: 1 }, leftOut: [] },
};

export const doctorGroup: DoctorGroup = {
  original: {
    path: "folder/model.onnx",
    kind: undefined,
    byteLength: 1000,
    ratio: undefined,
    perTarget: { "node-cpu": original },
    problems: [],
    usable: true,
  },
  others: [
    {
      path: `folder/${HOSTILE}.onnx`,
      kind: "q8",
      byteLength: 400,
      ratio: 0.4,
      perTarget: { "node-cpu": smaller },
      problems: [{ kind: "size", targets: [], text: `larger than it should be: ${HOSTILE}` }],
      usable: true,
    },
    {
      path: "folder/broken.onnx",
      kind: undefined,
      byteLength: 5,
      ratio: 0.005,
      perTarget: { "node-cpu": { name: "broken.onnx", error: { stage: "load", message: "bad <bytes>" } } },
      problems: [{ kind: "load", targets: ["node-cpu"], text: "does not load: bad <bytes>" }],
      usable: false,
    },
  ],
  guessed: true,
  targets: [
    {
      ...proven,
      files: [original, smaller, { name: "broken.onnx", error: { stage: "load", message: "bad <bytes>" } }],
    },
  ],
};

export const compressData: CompressReport = {
  input: { path: "model.onnx", byteLength: 10_800_000 },
  budget: "1pt",
  judgedBy: "agreement with the original, for there are no labels",
  seconds: 312,
  allowedSeconds: 600,
  ok: true,
  winners: [
    {
      target: "node-cpu",
      path: "out/model.node-cpu.onnx",
      byteLength: 3_150_000,
      settings: "static-int8, entropy, 3 nodes in float",
      measurement: proven,
      report,
      saturation: { products: 12, canSaturate: [] },
      ledger,
      details,
    },
    {
      target: "web-wasm",
      path: "out/model.web-wasm.onnx",
      byteLength: 2_900_000,
      settings: "weight-int8",
      measurement: smokeTested,
      report,
    },
  ],
  tried: [
    {
      settings: "static-int8, entropy, 3 nodes in float",
      byteLength: 3_150_000,
      proxy: 26.3,
      metric: "98.0 % → 97.0 %",
      speed: { "node-cpu": { median: 2.01, low: 1.95, high: 2.08, count: 100 } },
      taken: ["node-cpu"],
    },
    { settings: HOSTILE, proxy: 3.1, why: `SQNR of 3.1 dB is too low to be measured further ${HOSTILE}` },
  ],
  sensitivity,
  machine,
};
