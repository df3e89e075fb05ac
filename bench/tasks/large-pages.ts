/** @file Large pages of text as a data module for the detection model: each is drawn when it is asked for, so that none is held. */
import type { PlainTensor } from "../../src/data/source.ts";
import { page } from "./pages.ts";

/** Pixels of each side. */
const SIZE = Number(process.env["TERSOR_PAGE_SIZE"] ?? 960);

export function* calibration(): Generator<{ readonly inputs: Readonly<Record<string, PlainTensor>> }> {
  for (let index = 0; ; index++) {
    const x = page("calibration", index, SIZE);
    yield { inputs: { x: { dims: x.dims, data: x.floats() } } };
  }
}
