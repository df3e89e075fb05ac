/** @file Lines, every second one upside down, without labels: many to learn from. */
import { fromTask } from "../compress-data/from-task.ts";
import { direction } from "../tasks/ocr.ts";

export const { calibration, evaluation } = fromTask(direction, false, 1600);
