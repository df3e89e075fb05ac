/**
 * @file The gradient of one node as a model of its own: what there is to time.
 */
import { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import { irVersionFor } from "../graph/ops/versions.ts";
import type { Value } from "../graph/value.ts";
import { removeDead } from "../passes/eliminate-dead.ts";
import { byteLengthOf, elementCount } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import { createRandom } from "../util/random.ts";
import { type ChooseWay, differentiate } from "./differentiate.ts";

export interface SingleNode {
  /** What flows into the gradient comes in, the gradient of the input goes out. */
  readonly model: Model;
  /** Dimensions of its inputs, of which some may be unused. */
  readonly dims: ReadonlyMap<Value, readonly number[]>;
  /** Ways by the part that they compute. */
  readonly offered: ReadonlyMap<string, readonly string[]>;
}

/**
 * The gradient of input `index` of a node, as {@link differentiate} would build it with `choose`, without the node itself.
 * Constants stay constants; all else is an input.
 * @param active values that depend on what is trained. @throws UnsupportedError where the node has no gradient.
 */
export function singleNode(
  node: Node,
  index: number,
  shapes: ReadonlyMap<Value, readonly number[]>,
  active: ReadonlySet<Value>,
  choose: ChooseWay,
  block?: number,
): SingleNode {
  const model = new Model();
  for (const [domain, version] of node.graph!.model.opsets) model.opsets.set(domain, version);
  model.irVersion = irVersionFor(model.opset);
  const { graph } = model;
  const dims = new Map<Value, readonly number[]>();
  const copies = new Map<Value, Value>();
  const input = (wish: string, of: Value): Value => {
    const value = graph.newValue(wish);
    const shape = shapes.get(of) ?? of.initializer?.dims ?? [];
    value.setTensorType(of.dtype ?? "float32", shape);
    graph.inputs.push(value);
    dims.set(value, shape);
    return value;
  };
  const inputs = node.inputs.map((value): Value | undefined => {
    if (value === undefined) return undefined;
    const known = copies.get(value);
    if (known !== undefined) return known;
    const constant = active.has(value) ? undefined : constantOf(value);
    const copy = constant === undefined ? input(value.name, value) : graph.addInitializer(value.name, constant);
    copies.set(value, copy);
    return copy;
  });
  const copy = graph.add(node.opType, inputs, {
    outputs: node.outputs.map((value) => value?.name),
    domain: node.domainText,
  });
  for (const [name, attribute] of node.attributes) copy.attributes.set(name, attribute);
  node.outputs.forEach((value, i) => {
    if (value !== undefined && shapes.has(value)) dims.set(copy.output(i), shapes.get(value)!);
  });
  const seed = input("seed", node.output());
  const offered = new Map<string, readonly string[]>();
  const { gradients } = differentiate({
    loss: copy.output(),
    wrt: [copy.input(index)],
    shapes: dims,
    seed,
    block,
    choose: (_copy, part, ways) => {
      offered.set(part, ways);
      return choose(node, part, ways);
    },
  });
  // The forward pass is not timed: its results come in as well.
  node.outputs.forEach((value, i) => {
    if (value !== undefined) graph.replaceAllUsesWith(copy.output(i), input(value.name, value));
  });
  const gradient = gradients.get(copy.input(index))!;
  graph.setOutputs([graph.add("Identity", [gradient], {}).output()]);
  removeDead(model);
  return { model, dims, offered };
}

/** Random floats, zeros of other types. */
export function feedFor(value: Value, dims: readonly number[]): Tensor {
  const dtype = value.dtype ?? "float32";
  const size = elementCount(dims);
  if (dtype !== "float32") return new Tensor(dtype, dims, zeros(byteLengthOf(dtype, size)));
  const random = createRandom(1);
  const pattern = Float32Array.from({ length: Math.min(PATTERN, size) }, () => random.normal());
  const data = new Float32Array(size);
  for (let i = 0; i < size; i += PATTERN) data.set(pattern.subarray(0, Math.min(PATTERN, size - i)), i);
  return Tensor.float32(dims, data);
}

/** As many different numbers as caches cannot help with, repeated. */
const PATTERN = 4099;

function constantOf(value: Value): Tensor | undefined {
  return value.constant ?? (value.producer?.is("Constant") ? value.producer.tensor("value") : undefined);
}

function zeros(byteLength: number): { readonly byteLength: number; bytes(): Uint8Array } {
  const bytes = new Uint8Array(byteLength);
  return { byteLength, bytes: () => bytes };
}
