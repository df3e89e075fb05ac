/**
 * @file Step store-sparse: constants with many zeros go into the file as values and positions (`sparse_initializer`).
 *
 * It makes the file smaller, not the model faster: ONNX Runtime makes such constants dense when it loads them. Its builds
 * with WebGPU (`onnxruntime-web/webgpu`, `/jspi`, and so transformers.js) do not load them at all. Compressed with gzip or
 * brotli the dense file is often as small.
 */
import { z } from "zod";
import type { Model } from "../graph/model.ts";
import type { Value } from "../graph/value.ts";
import { isStoredSparse, storedByteLength, toDense, toSparse } from "../onnx/sparse-proto.ts";
import { takesSparse } from "../runtime/sparse.ts";
import { DEFAULT_TARGETS, TARGET_NAMES, type TargetName } from "../runtime/targets.ts";
import { defineStep, type LeftAlone, type StepReport } from "../step/step.ts";
import { DTYPES } from "../tensor/dtype.ts";
import { formatBytes } from "../util/format.ts";

/** ONNX's IR version with sparse initializers. Source: onnx.proto, IR_VERSION_2019_9_19. */
const SPARSE_IR_VERSION = 6;

export const storeSparse = defineStep({
  name: "store-sparse",
  summary: "Store constants with many zeros as values and positions; they are dense again when loaded",
  options: z.object({
    target: z
      .array(z.enum(TARGET_NAMES))
      .min(1)
      .default([...DEFAULT_TARGETS])
      .describe("runtimes the file is meant for; WebGPU's builds of onnxruntime-web do not load the sparse form"),
    form: z
      .enum(["smaller", "dense"])
      .default("smaller")
      .describe("smaller: sparse where that is smaller; dense: make all sparse constants dense"),
    minSaving: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe("share of a constant's bytes that must be saved, else it stays dense"),
  }),
  needs: [],
  run(model, { target, form, minSaving }): StepReport {
    return form === "dense" ? makeDense(model) : makeSparse(model, target, minSaving);
  },
});

function makeDense(model: Model): StepReport {
  let changed = 0;
  for (const { value } of constants(model)) {
    const tensor = value.initializer!;
    if (!isStoredSparse(tensor)) continue;
    value.initializer = toDense(tensor);
    changed++;
  }
  return { changed };
}

function makeSparse(model: Model, targets: readonly TargetName[], minSaving: number): StepReport {
  const refused = targets.find((target) => takesSparse(target) !== true);
  const changes: string[] = [];
  const leftAlone: LeftAlone[] = [];
  for (const { value, reason } of constants(model)) {
    const tensor = value.initializer!;
    if (isStoredSparse(tensor)) continue;
    const subject = value.name;
    const sparse = reason === undefined ? toSparse(tensor) : undefined;
    if (sparse === undefined) {
      if (reason !== undefined) leftAlone.push({ subject, reason });
      else if (DTYPES[tensor.dtype].bits % 8 !== 0) {
        leftAlone.push({ subject, reason: `elements of ${tensor.dtype} are no whole bytes` });
      }
      continue;
    }
    const [before, after] = [tensor.byteLength, storedByteLength(sparse)];
    if (after > (1 - minSaving) * before) continue; // most constants have no zeros to speak of
    if (refused !== undefined) {
      const why =
        takesSparse(refused) === false ? "does not load sparse initializers" : "was not seen to load sparse ones";
      leftAlone.push({ subject, reason: `${refused} ${why}` });
      continue;
    }
    value.initializer = sparse;
    changes.push(`${subject}: ${formatBytes(before)} → ${formatBytes(after)}`);
  }
  if (changes.length > 0) model.irVersion = Math.max(model.irVersion ?? 0, SPARSE_IR_VERSION);
  return { changed: changes.length, changes, leftAlone };
}

/** Constants of all graphs, and why one may not be stored sparse. */
function* constants(model: Model): Generator<{ readonly value: Value; readonly reason: string | undefined }> {
  for (const graph of model.graphs()) {
    for (const value of graph.initializers) {
      // An input's default must be an ordinary initializer.
      yield { value, reason: value.isInput ? "it is an input's default" : undefined };
    }
  }
}
