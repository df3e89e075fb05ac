/**
 * @file Errors of answers that are quantities.
 */
import { isFloatingPoint, type Tensor } from "../../tensor/tensor.ts";
import { elementsOf } from "../compare.ts";
import { labelNumbers, refuseLabel } from "./labels.ts";
import { type Metric, ratioOfSums } from "./metric.ts";
import { chooseOutput } from "./outputs.ts";

function errorMetric(name: string, summary: string, error: (difference: number) => number): Metric {
  return {
    name,
    summary,
    direction: "lower",
    unit: "value",
    needs: "label",
    perfect: 0,
    contribute(outputs, truth, options) {
      const isFloat = (tensor: Tensor): boolean => isFloatingPoint(tensor.dtype);
      const expected =
        "reference" in truth
          ? elementsOf(chooseOutput(truth.reference, options, isFloat, "an output of floats"))
          : (labelNumbers(truth.label) ?? refuseLabel(truth.label, "numbers"));
      const fits = (tensor: Tensor): boolean => isFloat(tensor) && tensor.size === expected.length;
      const got = elementsOf(chooseOutput(outputs, options, fits, `an output of ${expected.length} floats`));
      let sum = 0;
      for (let i = 0; i < got.length; i++) sum += error(got[i]! - expected[i]!);
      return [sum, got.length];
    },
    aggregate: ratioOfSums,
  };
}

/** Mean over all elements of all samples of (answer − label)². */
export const mse = errorMetric("mse", "mean squared error", (difference) => difference * difference);

/** Mean over all elements of all samples of |answer − label|. */
export const mae = errorMetric("mae", "mean absolute error", Math.abs);
