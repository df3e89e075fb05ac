/**
 * @file Runs a model together with its gradients.
 */
import { type DifferentiateOptions, differentiate, type Gradients } from "../../src/autodiff/differentiate.ts";
import type { Model } from "../../src/graph/model.ts";
import type { Value } from "../../src/graph/value.ts";
import { observeShapes } from "../../src/runtime/collect.ts";
import type { Tensors } from "../../src/runtime/runtime.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { bytesOf, runtimes } from "../helpers.ts";

export interface GradientRun {
  readonly result: Gradients;
  /** In the order of `wrt`. */
  readonly gradients: readonly Tensor[];
  readonly outputs: Tensors;
}

/** Adds the backward pass of the first output to the model, and runs both on the node runtime. */
export async function runGradients(
  model: Model,
  wrt: readonly Value[],
  feeds: Tensors,
  options: Partial<DifferentiateOptions> & { readonly dy?: Tensor } = {},
): Promise<GradientRun> {
  const runtime = await runtimes.node();
  const { graph } = model;
  const shapes = await observeShapes(model, runtime, feeds);
  const { dy, ...rest } = options;
  const seed = dy === undefined ? undefined : graph.addInitializer("dy", dy);
  const result = differentiate({ loss: graph.outputs[0]!, wrt, shapes, ...(seed && { seed }), ...rest });
  // A gradient may be an initializer, or one value's and another's: outputs are values of their own.
  const named = wrt.map((value) => graph.add("Identity", [result.gradients.get(value)]).output());
  graph.setOutputs([...graph.outputs, ...named]);
  const session = await runtime.load({ bytes: bytesOf(model) }, { config: { "session.disable_quant_qdq": "1" } });
  try {
    const outputs = await session.run(feeds);
    return { result, outputs, gradients: named.map(({ name }) => outputs[name]!) };
  } finally {
    await session.release();
  }
}
