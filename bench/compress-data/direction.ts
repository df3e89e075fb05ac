/** @file Lines, every second one upside down, with their direction. */
import { direction } from "../tasks/ocr.ts";
import { fromTask } from "./from-task.ts";

export const { calibration, evaluation } = fromTask(direction, true);
