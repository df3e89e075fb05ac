/**
 * @file BatchNormalization in training: the batch's own statistics normalize, and move the running ones.
 *
 *   μ' = m · μ + (1 − m) · mean      v' = m · v + (1 − m) · var · n / (n − 1)      m: ONNX's momentum, 1 − PyTorch's
 *
 * The variance that normalizes is divided by n, the running one by n − 1, as in PyTorch; ONNX Runtime's own running
 * variance is divided by n. A momentum of 0 makes it give the batch's statistics, and the blend is made here.
 * Source: PyTorch's BatchNorm2d; ONNX operator BatchNormalization, version 15.
 */
import { Builder } from "../graph/builder.ts";
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import type { Value } from "../graph/value.ts";
import { OptionError } from "../util/errors.ts";

/** Those with constant statistics, in the main graph. */
export function batchNormalizations(model: Model): readonly Node[] {
  return [...model.graph.nodes()].filter(
    (node) =>
      node.is("BatchNormalization") &&
      node.int("training_mode", 0) === 0 &&
      [3, 4].every((i) => node.inputs[i]?.isConstant || node.inputs[i]?.isInput),
  );
}

/**
 * Turns training mode on. Returns what each statistic, an input of the model by now, is after the step.
 * @throws OptionError where there is one value per channel only.
 */
export function useBatchStatistics(
  model: Model,
  dims: ReadonlyMap<string, readonly number[]>,
): ReadonlyMap<Value, Value> {
  const b = new Builder(model.graph, "statistics/");
  const next = new Map<Value, Value>();
  for (const node of batchNormalizations(model)) {
    const shape = dims.get(node.input(0).name) ?? [];
    const n = shape.reduce((size, dim, axis) => (axis === 1 ? size : size * dim), 1);
    if (n < 2) {
      throw new OptionError({
        area: "train",
        subject: `batchNorm, node "${node.label}"`,
        problem: `expected more than one value per channel, got [${shape.join(", ")}]`,
        help: "Use larger batches, or frozen statistics.",
      });
    }
    const momentum = node.float("momentum", 0.9);
    const y = node.output();
    const [mean, variance] = [model.graph.newValue(`${y.name}_mean`), model.graph.newValue(`${y.name}_var`)];
    node.setOutputs([y, mean, variance]);
    const [running, spread] = [node.input(3), node.input(4)];
    // ONNX Runtime writes these outputs over inputs 3 and 4, were they the state itself (1.30): they get memory to lose.
    node.setInput(3, b.scale(running, 0.5));
    node.setInput(4, b.scale(spread, 0.5));
    node.set("training_mode", { int: 1 }).set("momentum", { float: 0 });
    // A normalization that is used twice has its statistics moved twice.
    const blend = (statistic: Value, batch: Value, factor: number): void => {
      const before = next.get(statistic) ?? statistic;
      next.set(statistic, b.add(b.scale(before, momentum), b.scale(batch, (1 - momentum) * factor)));
    };
    blend(running, mean, 1);
    blend(spread, variance, n / (n - 1));
  }
  model.graph.sort();
  return next;
}
