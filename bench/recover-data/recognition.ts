/** @file Pieces of rendered lines, without labels; whole lines to compare on. */
import { fromTask } from "../compress-data/from-task.ts";
import { recognition } from "../tasks/ocr.ts";
import { crops } from "./crops.ts";

export const calibration = () => crops(recognition, 1200, 48, 128, 1);
export const { evaluation } = fromTask(recognition, false);
