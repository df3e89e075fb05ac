/** @file Frames of sound, half of them speech by the original's answer, without labels: many to learn from. */
import type { Sample } from "../../src/step/data.ts";
import { balancedFrames } from "../compress-data/silero.ts";

export const calibration = (): AsyncGenerator<Sample> => balancedFrames(1, 3000);
export const evaluation = (): AsyncGenerator<Sample> => balancedFrames(100_001, 1000);
