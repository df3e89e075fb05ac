/** @file Lines of text; the score is the share of characters that are read. */
import type { Tensors } from "../../src/runtime/runtime.ts";
import type { Sample } from "../../src/step/data.ts";
import { recognition } from "../tasks/ocr.ts";
import { fromTask } from "./from-task.ts";

export const { calibration, evaluation } = fromTask(recognition, true);

/** 1 − edits ÷ characters of one line. */
export function score(outputs: Tensors, { label }: Pick<Sample, "label">): number {
  const [[edits, characters]] = recognition.judge(recognition.read(outputs), "", label) as [[number, number]];
  return 1 - edits / Math.max(characters, 1);
}
