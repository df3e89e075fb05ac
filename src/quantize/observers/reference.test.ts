/**
 * @file Observers against torch.ao.quantization and onnxruntime's calibrators (test/reference/observers.json, made by
 * scripts/reference/observers.py with the versions named there).
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type CodeDType, codeRange } from "../qparams.ts";
import { createObserver, type ObserverName } from "./list.ts";

interface QParamsList {
  readonly scale: readonly number[];
  readonly zeroPoint: readonly number[];
}

interface TorchRow {
  readonly dtype: CodeDType;
  readonly symmetric: boolean;
  readonly reduceRange: boolean;
  readonly "min-max": QParamsList;
  readonly "moving-average-min-max": QParamsList;
  readonly histogram?: QParamsList & { readonly range: readonly [number, number] };
}

interface OrtRow {
  readonly observer: ObserverName;
  readonly symmetric: boolean;
  readonly bins: number;
  readonly percentile?: number;
  readonly range: readonly [number, number];
}

interface Reference {
  readonly length: number;
  readonly perTensor: readonly {
    readonly name: string;
    readonly kind: string;
    readonly scales: readonly number[];
    readonly torch: readonly TorchRow[];
    readonly onnxruntime: readonly OrtRow[];
  }[];
  readonly perChannel: readonly {
    readonly dims: readonly number[];
    readonly axis: number;
    readonly torch: readonly TorchRow[];
  }[];
}

const file = new URL("../../../test/reference/observers.json", import.meta.url);
const reference = JSON.parse(readFileSync(file, "utf8")) as Reference;

/** As `sample` in scripts/reference/observers.py. */
function sample(kind: string, seed: number, scale: number, length: number): Float32Array {
  let state = seed;
  const withZero = !["positive", "negative", "constant"].includes(kind);
  return Float32Array.from({ length }, (_, i) => {
    let total = 0;
    for (let k = 0; k < 4; k++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      total += state >>> 8;
    }
    const x = shape(kind, total / 2 ** 24 - 2, i);
    return i === 0 && withZero ? 0 : x * scale;
  });
}

function shape(kind: string, x: number, i: number): number {
  switch (kind) {
    case "relu":
      return Math.max(x, 0);
    case "skewed":
      return x > 0 ? x * x * x * x : x / 8;
    case "outliers":
      return i % 997 === 500 ? x * 40 : x;
    case "one-outlier":
      return i === 777 ? 1000 : x;
    case "positive":
      return x + 3;
    case "negative":
      return x - 2.5;
    case "constant":
      return 0.7;
    case "zero":
      return 0;
    default:
      return x;
  }
}

/** The two documented deviations of `chooseQParams` from PyTorch. */
function deviates(row: TorchRow, torch: QParamsList, kind: string): boolean {
  if (kind === "zero") return true;
  if (torch.scale.every((scale) => scale === 2 ** -23) && kind === "normal") return false;
  return row.symmetric && row.reduceRange && row.dtype === "uint8";
}

const describeScheme = ({ dtype, symmetric, reduceRange }: TorchRow): string =>
  `${dtype} ${symmetric ? "symmetric" : "asymmetric"}${reduceRange ? " reduced" : ""}`;

describe.each(reference.perTensor)("$name", ({ kind, scales, torch, onnxruntime }) => {
  const samples = scales.map((scale, i) => sample(kind, 17 + i, scale, reference.length));
  const observed = (name: ObserverName, options: Parameters<typeof createObserver>[1]) => {
    const observer = createObserver(name, options);
    for (const data of samples) observer.observe(data, [data.length]);
    return observer;
  };

  test.each(["min-max", "moving-average-min-max"] as const)("%s equals PyTorch's", (name) => {
    for (const row of torch) {
      if (deviates(row, row[name], kind)) continue;
      const { scale, zeroPoint } = observed(name, { scheme: row }).qparams()!;
      expect({ scale: [...scale], zeroPoint: [...zeroPoint] }, describeScheme(row)).toEqual(row[name]);
    }
  });

  test("histogram is within one code of PyTorch's", () => {
    for (const row of torch) {
      if (row.histogram === undefined || deviates(row, row.histogram, kind)) continue;
      const { scale, zeroPoint } = observed("histogram", { scheme: row }).qparams()!;
      const { qmin, qmax } = codeRange(row);
      const [theirs, zero] = [row.histogram.scale[0]!, row.histogram.zeroPoint[0]!];
      const about = `${describeScheme(row)}: ${scale[0]} against ${theirs}`;
      expect(Math.abs(zeroPoint[0]! - zero), about).toBeLessThanOrEqual(1);
      // No value of the range has a code that differs by more than one.
      expect(Math.abs(scale[0]! / theirs - 1) * (qmax - qmin), about).toBeLessThanOrEqual(1);
    }
  });

  test("percentile and entropy equal onnxruntime's", () => {
    for (const { observer, symmetric, bins, percentile, range } of onnxruntime) {
      const scheme = { dtype: symmetric ? "int8" : "uint8", symmetric } as const;
      const { min, max } = observed(observer, { scheme, bins, percentile }).ranges()!;
      const [low, high] = range;
      // Of a constant, onnxruntime's percentiles make a range whose end is before its start; ours contains the start.
      const expected = [low + 0, Math.max(low, high)];
      expect([min[0]! + 0, max[0]], `${observer} ${percentile} ${symmetric} ${bins}`).toEqual(expected);
    }
  });
});

describe.each(reference.perChannel)("per channel $axis", ({ dims, axis, torch }) => {
  test.each(["min-max", "moving-average-min-max"] as const)("%s equals PyTorch's", (name) => {
    const size = dims.reduce((a, b) => a * b, 1);
    for (const row of torch) {
      const observer = createObserver(name, { scheme: row, axis });
      for (let i = 0; i < 3; i++) observer.observe(sample("normal", 5 + i, 1 + i / 3, size), dims);
      const { scale, zeroPoint } = observer.qparams()!;
      expect({ scale: [...scale], zeroPoint: [...zeroPoint] }, describeScheme(row)).toEqual(row[name]);
    }
  });
});
