/**
 * @file How good a quantized model is at its task, on held-out samples in onnxruntime-node: distance of the outputs from
 * float32, and characters read, text areas found or directions told.
 */
import { decode, loadKeys } from "../../examples/ocr/decode.ts";
import { compareWithOriginal, type Interval, score } from "../../examples/ocr/score.ts";
import { loadData } from "../../src/data/load-node.ts";
import { createComparer } from "../../src/measure/compare.ts";
import { createRuntime } from "../../src/runtime/create-node.ts";
import type { Session, Tensors } from "../../src/runtime/runtime.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { messageOf } from "../../src/util/errors.ts";
import type { ModelName } from "./models.ts";

export interface TaskScore {
  /** Decibels against float32; -Infinity for NaN. */
  readonly sqnr?: number;
  /** Recognition: character error rate, exact match, agreement with float32; shares. */
  readonly cer?: number;
  readonly exact?: number;
  readonly agreement?: number;
  /** Differences to float32 with 95 % intervals. */
  readonly difference?: { readonly cer: Interval; readonly exact: Interval };
  /** Detection: pixels over 0.3 in both ÷ in either, of float32 and this file. */
  readonly overlap?: number;
  /** Direction: share of the same answers as float32. */
  readonly same?: number;
  readonly error?: string;
}

/** PaddleOCR's `det_db_thresh`. */
const TEXT_PIXEL = 0.3;

/** Scores files; the first is the original. A file that fails has the reason. */
export async function scoreFiles(
  model: ModelName,
  files: readonly string[],
  folder: string,
  texts: readonly (string | null)[],
): Promise<TaskScore[]> {
  const runtime = await createRuntime("onnxruntime-node");
  const sessions: (Session | undefined)[] = [];
  const errors: (string | undefined)[] = [];
  for (const path of files) {
    try {
      sessions.push(await runtime.load({ path }));
      errors.push(undefined);
    } catch (error) {
      sessions.push(undefined);
      errors.push(messageOf(error).split("\n")[0]);
    }
  }
  const source = await loadData(folder, { inputs: sessions[0]!.inputs });
  const comparers = files.map(() => createComparer());
  const keys = model === "recognition" ? loadKeys() : [];
  const readings = files.map((): string[] => []);
  const both = files.map(() => 0);
  const either = files.map(() => 0);
  const answers = files.map((): number[] => []);
  for await (const { inputs } of source.samples()) {
    let reference: Tensors | undefined;
    for (const [index, session] of sessions.entries()) {
      if (session === undefined) continue;
      try {
        const outputs = await session.run(inputs);
        reference ??= outputs;
        comparers[index]!.add(reference, outputs);
        const [output] = Object.values(outputs) as [Tensor];
        const [expected] = Object.values(reference) as [Tensor];
        if (model === "recognition") readings[index]!.push(decode(output.floats(), output.dims, keys)[0]!.text);
        else if (model === "direction") answers[index]!.push(largest(output.floats()));
        else {
          const [a, b] = [expected.floats(), output.floats()];
          for (let i = 0; i < a.length; i++) {
            const [in1, in2] = [a[i]! > TEXT_PIXEL, b[i]! > TEXT_PIXEL];
            if (in1 && in2) both[index]!++;
            if (in1 || in2) either[index]!++;
          }
        }
      } catch (error) {
        errors[index] = messageOf(error).split("\n")[0];
        sessions[index] = undefined;
      }
    }
  }
  const truth = texts.map((text) => text ?? "");
  return files.map((_path, index): TaskScore => {
    if (errors[index] !== undefined) return { error: errors[index] };
    const [comparison] = comparers[index]!.result();
    const sqnr = comparison?.kind === "float" ? comparison.sqnr : undefined;
    if (model === "detection") return { sqnr, overlap: both[index]! / either[index]! };
    if (model === "direction") {
      const same = answers[index]!.filter((answer, i) => answer === answers[0]![i]).length / answers[0]!.length;
      return { sqnr, same };
    }
    return {
      sqnr,
      ...score(truth, readings[index]!, readings[0]!),
      difference: compareWithOriginal(truth, readings[index]!, readings[0]!),
    };
  });
}

function largest(values: Float32Array): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
}
