/** @file The data module as the command reads it. */

import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { loadData } from "../../src/data/load-node.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { score } from "./data.ts";
import { CLASSES, loadKeys } from "./decode.ts";

const inputs = [{ name: "x", dtype: "float32", shape: [null, 3, 48, null] }] as const;
const module = fileURLToPath(new URL("./data.ts", import.meta.url));

test("both parts fit the model and have no text in common", async () => {
  const texts = async (part: "calibration" | "evaluation"): Promise<unknown[]> => {
    const labels: unknown[] = [];
    for await (const { label } of (await loadData(module, { inputs, part })).samples()) labels.push(label);
    return labels;
  };
  const [calibration, evaluation] = [await texts("calibration"), await texts("evaluation")];
  expect([calibration.length, evaluation.length]).toEqual([100, 300]);
  expect(calibration.filter((text) => evaluation.includes(text))).toEqual([]);
});

test("an exact reading scores 1, any other 0", () => {
  const keys = loadKeys();
  const probabilities = new Float32Array(2 * CLASSES); // [1, 2, C]
  probabilities[keys.indexOf("A")] = 1;
  probabilities[CLASSES + CLASSES - 1] = 1; // a space behind it
  const outputs = { y: Tensor.float32([1, 2, CLASSES], probabilities) };
  expect([score(outputs, { label: "A" }), score(outputs, { label: "B" })]).toEqual([1, 0]);
});
