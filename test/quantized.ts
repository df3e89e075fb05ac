/**
 * @file Runs a quantizer on a small model and looks at the result from all sides: invariants, what is in it, both
 * runtimes against float, and what ONNX Runtime makes of it when it loads.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as ort from "onnxruntime-node";
import { expect } from "vitest";
import type { z } from "zod";
import { fromOnnx } from "../src/graph/from-onnx.ts";
import type { Model } from "../src/graph/model.ts";
import { checkParametrizations } from "../src/graph/parametrizations.ts";
import { verifyModel } from "../src/graph/verify.ts";
import { decodeModel } from "../src/onnx/decode.ts";
import type { Tensors } from "../src/runtime/runtime.ts";
import { runStep } from "../src/step/run.ts";
import type { Step, StepReport } from "../src/step/step.ts";
import { Tensor } from "../src/tensor/tensor.ts";
import { bytesOf, compareAll, opCounts, reload, runAll, runtimes, samplesFor } from "./helpers.ts";

export interface Quantized {
  readonly model: Model;
  readonly report: StepReport;
  /** The file. */
  readonly bytes: Uint8Array;
  /** The float file's size. */
  readonly before: number;
  /** Number of nodes by operator. */
  readonly ops: Readonly<Record<string, number>>;
  /** Why nodes and weights were left alone. */
  readonly reasons: Readonly<Record<string, string>>;
  readonly samples: readonly Tensors[];
}

/** Applies a quantizer and checks what must hold whatever it did. */
export async function quantizeModel<Options extends z.ZodObject>(
  model: Model,
  step: Step<Options>,
  options: z.input<Options>,
  data?: readonly Tensors[],
): Promise<Quantized> {
  const before = bytesOf(model);
  const { samples } = data === undefined ? await samplesFor(model, { count: 3 }) : { samples: data };
  const calibration = { name: "test", length: samples.length, samples: () => samples.map((inputs) => ({ inputs })) };
  const report = await runStep(model, step, options, { runtime: await runtimes.node(), calibration });
  verifyModel(model);
  const bytes = bytesOf(model);
  const loaded = reload(model);
  verifyModel(loaded);
  checkParametrizations(loaded);
  expect(bytesOf(loaded)).toEqual(bytes);
  // Deterministic: the same file again.
  const again = fromOnnx(decodeModel(before));
  await runStep(again, step, options, { runtime: await runtimes.node(), calibration });
  expect(bytesOf(again)).toEqual(bytes);
  // Nothing lies around in the file.
  for (const graph of model.graphs()) {
    const unused = [...graph.initializers].filter((value) => value.isUnused && !value.isInput);
    expect(unused.map((value) => value.name)).toEqual([]);
  }
  const reasons = Object.fromEntries((report.leftAlone ?? []).map(({ subject, reason }) => [subject, reason]));
  return { model, report, bytes, before: before.length, ops: opCounts(model), reasons, samples };
}

/** Lowest SQNR of any output of any sample on each runtime, against the float model on the same runtime. */
export async function sqnrOn(
  float: Model,
  { bytes, samples }: Pick<Quantized, "bytes" | "samples">,
): Promise<{ readonly node: number; readonly web: number }> {
  const lowest = async (runtime: "node" | "web"): Promise<number> => {
    const loaded = await runtimes[runtime]();
    const reference = await runAll(loaded, bytesOf(float), samples);
    const values = compareAll(reference, await runAll(loaded, bytes, samples)).map((output) =>
      output.kind === "float"
        ? output.sqnr
        : output.kind === "exact" && output.equal === 1
          ? Number.POSITIVE_INFINITY
          : 0,
    );
    return Math.min(...values);
  };
  return { node: await lowest("node"), web: await lowest("web") };
}

/** Both runtimes are at least this close (dB). */
export async function expectClose(
  float: Model,
  result: Pick<Quantized, "bytes" | "samples">,
  floor: number,
): Promise<void> {
  const { node, web } = await sqnrOn(float, result);
  expect(node, "SQNR on onnxruntime-node").toBeGreaterThan(floor);
  expect(web, "SQNR on onnxruntime-web").toBeGreaterThan(floor);
}

/** Number of nodes by operator once ONNX Runtime has fused what it fuses (without layout changes). */
export async function fusedOps(bytes: Uint8Array): Promise<Readonly<Record<string, number>>> {
  const folder = mkdtempSync(join(tmpdir(), "tersor-fused-"));
  const path = join(folder, "optimized.onnx");
  try {
    const session = await ort.InferenceSession.create(bytes, {
      graphOptimizationLevel: "extended",
      optimizedModelFilePath: path,
      logSeverityLevel: 4,
      intraOpNumThreads: 1,
    });
    await session.release();
    return opCounts(fromOnnx(decodeModel(readFileSync(path))));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Samples with a switch both ways. */
export function bothWays(samples: readonly Tensors[], name: string): Tensors[] {
  return samples.flatMap((sample) =>
    [0, 1].map((on) => ({ ...sample, [name]: Tensor.of("bool", sample[name]!.dims, Uint8Array.of(on)) })),
  );
}

/** Node names and scales outweigh what 8 bits save in models that are smaller (bytes). */
const SMALL = 1500;

/** The float weights are gone, and where they were most of the file it is smaller. */
export function expectNoFloatWeights({ model, bytes, before }: Quantized): void {
  const left = [...model.graphs()].flatMap((graph) =>
    [...graph.initializers].filter(
      ({ initializer }) => initializer?.dtype === "float32" && initializer.dims.filter((dim) => dim > 1).length > 1,
    ),
  );
  expect(left.map((value) => value.name).filter((name) => /^[wvu]$/.test(name))).toEqual([]);
  if (before > SMALL) expect(bytes.length).toBeLessThan(before);
}
