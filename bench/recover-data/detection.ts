/** @file Pieces of rendered pages, without labels; whole pages to compare on. */
import { fromTask } from "../compress-data/from-task.ts";
import { detection } from "../tasks/ocr.ts";
import { crops } from "./crops.ts";

export const calibration = () => crops(detection, 300, 160, 160, 4);
export const { evaluation } = fromTask(detection, false);
