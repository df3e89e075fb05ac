/**
 * @file The demo's samples as a data module, which the command reads as well:
 * `npm run -s tersor -- quantize model.onnx --data examples/ocr/data.ts`.
 */

import type { PlainTensor } from "../../src/data/source.ts";
import type { Tensors } from "../../src/runtime/runtime.ts";
import type { Sample } from "../../src/step/data.ts";
import { decode, loadKeys } from "./decode.ts";
import { normalize } from "./score.ts";
import { samples, type Sample as TextSample } from "./text.ts";

/** Seed of every text, look and noise. */
export const SEED = 1;
/** Samples that ranges of activations are taken from; no text of them is evaluated on. */
export const CALIBRATION_SAMPLES = 100;
/** Samples that files are scored on. */
export const EVALUATION_SAMPLES = 300;

interface ModuleSample {
  readonly inputs: Readonly<Record<string, PlainTensor>>;
  /** What the image says. */
  readonly label: string;
}

const toModuleSample = ({ input, dims, text }: TextSample): ModuleSample => ({
  inputs: { x: { dims, data: input } },
  label: text,
});

/** Line images whose texts belong to the calibration split. */
export function* calibration(): Generator<ModuleSample> {
  for (const sample of samples({ seed: SEED, split: "calibration", count: CALIBRATION_SAMPLES })) {
    yield toModuleSample(sample);
  }
}

/** Line images whose texts belong to the evaluation split. */
export function* evaluation(): Generator<ModuleSample> {
  for (const sample of samples({ seed: SEED, split: "evaluation", count: EVALUATION_SAMPLES })) {
    yield toModuleSample(sample);
  }
}

let keys: readonly string[] | undefined;

/** The text that the recognition model's only output says. */
export function read(outputs: Tensors): string {
  keys ??= loadKeys();
  const [output] = Object.values(outputs);
  return decode(output!.floats(), output!.dims, keys)[0]!.text;
}

/** 1 where the text is read exactly, white space aside, else 0. */
export function score(outputs: Tensors, sample: Pick<Sample, "label">): number {
  return normalize(read(outputs)) === normalize(String(sample.label)) ? 1 : 0;
}
