/** @file Pages of text; maps are compared with the original's. */
import { detection } from "../tasks/ocr.ts";
import { fromTask } from "./from-task.ts";

export const { calibration, evaluation } = fromTask(detection, false);
