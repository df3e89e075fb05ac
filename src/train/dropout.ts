/**
 * @file Dropout, inverted: y = x · [u ≥ p] / (1 − p) with u uniform in [0, 1), fed: random operators continue, restart and
 * differ between sessions and runtimes.
 * Source: Srivastava et al. 2014, section 10; ONNX operator Dropout, version 13.
 */
import { Builder } from "../graph/builder.ts";
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import type { FedTensor } from "./program.ts";

/** ONNX's default. */
const DEFAULT_RATIO = 0.5;

const dropouts = (model: Model): readonly Node[] => [...model.graph.nodes()].filter((node) => node.is("Dropout"));

/** Replaces Dropout nodes by arithmetic with fed noise; a ratio of 0 by nothing. Returns the noise. */
export function feedDropout(
  model: Model,
  ratio: number | "own",
  dims: ReadonlyMap<string, readonly number[]>,
): readonly FedTensor[] {
  const { graph } = model;
  const fed: FedTensor[] = [];
  for (const node of dropouts(model)) {
    const own = node.inputs[1]?.constant?.numbers()[0] ?? node.float("ratio") ?? DEFAULT_RATIO;
    const p = ratio === "own" ? own : ratio;
    const shape = dims.get(node.input(0).name);
    if (p === 0 || shape === undefined) {
      takeOut(node);
      continue;
    }
    const b = new Builder(graph, "dropout/");
    const noise = graph.newValue(`train/noise/${fed.length}`);
    noise.setTensorType("float32", shape);
    graph.inputs.push(noise);
    fed.push({ input: noise.name, dtype: "float32", dims: shape });
    const kept = b.op("GreaterOrEqual", [noise, b.scalar(p)]);
    const factor = b.where(kept, b.scalar(1 / (1 - p)), b.scalar(0));
    const result = graph.add("Mul", [node.input(0), factor], { name: `${node.label}/drop` }).output();
    graph.replaceAllUsesWith(node.output(), result);
    graph.remove(node);
  }
  graph.sort();
  return fed;
}

/** Takes all Dropout nodes out. */
export function dropoutsOff(model: Model): void {
  for (const node of dropouts(model)) takeOut(node);
}

function takeOut(node: Node): void {
  const { graph } = node;
  // Its input may be an output, too, or an input: Identity takes any place.
  const copy = graph!.add("Identity", [node.input(0)], { name: `${node.label}/kept`, after: node }).output();
  graph!.replaceAllUsesWith(node.output(), copy);
  graph!.remove(node);
}
