/** @file Rendered pages, without labels: many to learn from. */
import { fromTask } from "../compress-data/from-task.ts";
import { detection } from "../tasks/ocr.ts";

export const { calibration, evaluation } = fromTask(detection, false, 400);
