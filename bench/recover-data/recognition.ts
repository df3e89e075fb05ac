/** @file Rendered lines, without labels: many to learn from. */
import { fromTask } from "../compress-data/from-task.ts";
import { recognition } from "../tasks/ocr.ts";

export const { calibration, evaluation } = fromTask(recognition, false, 2000);
