/** @file Makes the demo's model files: the original beside one file per scheme. */

import { copyFile, mkdir, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { quantizeFile } from "../../src/recipe/quantize-file.ts";
import { SCHEME_NAMES } from "../../src/recipe/steps.ts";
import type { Progress } from "../../src/util/progress.ts";
import { recognitionModel } from "./assets.ts";
import { CALIBRATION_SAMPLES } from "./data.ts";

export const ORIGINAL = "original";

export interface ModelFile {
  /** "original", or the scheme. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

export interface MakeOptions {
  readonly stage: (text: string) => void;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Calibrating needs a path: it may be read in another process. */
const DATA = fileURLToPath(new URL("./data.ts", import.meta.url));

/**
 * Writes the original and its quantized files into `folder`, not checked yet: the demo scores them on more than
 * outputs.
 *
 * @returns the original first
 */
export async function makeModels(folder: string, { stage, progress, signal }: MakeOptions): Promise<ModelFile[]> {
  await mkdir(folder, { recursive: true });
  const original = join(folder, "recognition.onnx");
  await copyFile(recognitionModel, `${original}.tmp`);
  await rename(`${original}.tmp`, original);
  const files: ModelFile[] = [{ name: ORIGINAL, path: original, bytes: (await stat(original)).size }];
  for (const scheme of SCHEME_NAMES) {
    stage(`making ${scheme}`);
    const output = join(folder, `recognition.${scheme}.onnx`);
    const options = { scheme, output, data: DATA, calibrationSamples: CALIBRATION_SAMPLES, check: false };
    const result = await quantizeFile(original, { ...options, progress, signal });
    files.push({ name: scheme, path: output, bytes: result.output.byteLength });
  }
  return files;
}
