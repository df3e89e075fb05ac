/**
 * @file Which output a metric looks at.
 */
import type { Tensors } from "../../runtime/runtime.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { InputError } from "../../util/errors.ts";
import type { MetricOptions } from "./options.ts";

/**
 * The output that the options name, or the first that fits.
 * @param expected what fits, in words.
 * @throws InputError where there is none.
 */
export function chooseOutput(
  outputs: Tensors,
  options: Pick<MetricOptions, "metricOutput">,
  fits: (tensor: Tensor) => boolean,
  expected: string,
): Tensor {
  const { metricOutput: name } = options;
  const chosen = name === undefined ? Object.values(outputs) : Object.hasOwn(outputs, name) ? [outputs[name]!] : [];
  const found = chosen.find(fits);
  if (found !== undefined) return found;
  const all = Object.entries(outputs).map(([key, tensor]) => `"${key}" ${tensor}`);
  throw new InputError({
    area: "metric",
    subject: name === undefined ? "outputs" : `output "${name}"`,
    problem: `expected ${expected}, got ${chosen.length === 0 ? "no such output; there are " : ""}${name === undefined || chosen.length === 0 ? all.join(", ") : `${chosen[0]}`}`,
    help: "Choose a metric that fits what the model gives, or its output with --metric-output.",
  });
}
