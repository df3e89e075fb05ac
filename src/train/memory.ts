/**
 * @file What training will take of memory, before anything runs: the values that are alive at once, in the order in which
 * ONNX Runtime runs them, and what is around them.
 *
 * What a process grows by, in the benches (bench/train-memory.ts): the state twice (old and new), the values of one run, and
 * in sessions of their own validation and the teacher, whose memory the runtime keeps; copies of the parameters in models,
 * and the runtime itself.
 */
import type { Model } from "../graph/model.ts";
import type { Node } from "../graph/node.ts";
import type { Value } from "../graph/value.ts";
import { byteLengthOf, elementCount } from "../tensor/dtype.ts";
import { addBackwardDims, type Dims } from "./backward-dims.ts";
import { optimizerOf } from "./optimizers/optimizers.ts";
import type { TrainingOptions } from "./options.ts";
import type { FedTensor, MemoryEstimate } from "./program.ts";
import type { Trained } from "./update.ts";

/** Graphs, sessions, compiled code and garbage that is not collected yet, as measured with the smallest net. */
const PROCESS_BYTES = 50e6;
/** The parameters in the model, in copies of it, in its encoded graphs, in the best state so far, as measured. */
const MODEL_COPIES = 6;
/** What blocks of the runtime's allocator waste, and kernels take for themselves, as measured. */
export const ALLOCATOR = 1.25;

/** Outputs that take the place of their first input: no copy. */
const VIEWS: ReadonlySet<string> = new Set(["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"]);
/** Operators that write over an input of the same size that nothing needs any more. */
const IN_PLACE: ReadonlySet<string> = new Set(
  "Abs Add Cast Clip Div Elu Erf Exp HardSigmoid HardSwish LeakyRelu Log Max Min Mul Neg Pow Reciprocal Relu Sigmoid Softmax Sqrt Sub Sum Tanh".split(
    " ",
  ),
);

/**
 * @param model The whole step.
 * @param forward Values of the forward pass, with their dimensions.
 * @param targets What is fed for the losses.
 */
export function estimateMemory(
  model: Model,
  forward: ReadonlyMap<Value, Dims>,
  trained: readonly Trained[],
  options: TrainingOptions,
  targets: readonly FedTensor[],
): MemoryEstimate {
  const bytes = (dims: Dims): number => byteLengthOf("float32", elementCount(dims));
  const parameters = trained.reduce((sum, { dims }) => sum + bytes(dims), 0);
  const copies =
    optimizerOf(options.optimizer.kind).moments(options.optimizer) +
    (options.ema === undefined ? 0 : 1) +
    (options.accumulate ? 1 : 0);
  const optimizer = copies * parameters;
  const nodes = [...model.graph.nodes()];
  let activations = 0;
  for (const node of nodes) {
    for (const value of node.outputs) {
      const dims = value && forward.get(value);
      if (value === undefined || dims === undefined) continue;
      // Users without known dimensions are those of the backward pass.
      if ([...value.users].some((user) => user.outputs.some((output) => output && !forward.has(output))))
        activations += bytes(dims);
    }
  }
  const all = new Map(forward);
  addBackwardDims(nodes, all);
  const size = (value: Value): number => {
    // Outputs are written into memory of the state.
    if (value.isOutput) return 0;
    const dims = all.get(value);
    return dims === undefined ? 0 : byteLengthOf(value.dtype ?? "float32", elementCount(dims));
  };
  const working = livePeak(executionOrder(nodes), size);
  const passes = livePeak(
    nodes.filter((node) => node.outputs.every((value) => !value || forward.has(value))),
    size,
  );
  // A teacher's values are there as it gives them and as they are fed.
  const fed = 2 * targets.reduce((sum, { dims }) => sum + bytes(dims), 0);
  const peak =
    PROCESS_BYTES + MODEL_COPIES * parameters + 2 * (parameters + optimizer) + ALLOCATOR * (working + 2 * passes) + fed;
  return { parameters, optimizer, activations, working, forward: passes, peak };
}

/** The most that is alive at once when these nodes run one after the other, and nothing else uses their values. */
export function livePeak(order: readonly Node[], size: (value: Value) => number): number {
  const last = new Map<Value, number>();
  order.forEach((node, i) => {
    for (const value of [...node.outputs, ...node.inputs]) if (value) last.set(value, i);
  });
  const buffers = new Map<Value, { readonly bytes: number; users: number }>();
  let [live, peak] = [0, 0];
  order.forEach((node, i) => {
    for (const output of node.outputs) {
      if (output === undefined) continue;
      const bytes = size(output);
      const source = node.inputs.find((value, at) => {
        const buffer = value && buffers.get(value);
        if (buffer === undefined) return false;
        if (VIEWS.has(node.opType)) return at === 0;
        return IN_PLACE.has(node.opType) && last.get(value!) === i && buffer.users === 1 && buffer.bytes === bytes;
      });
      const buffer = source === undefined ? { bytes, users: 0 } : buffers.get(source)!;
      if (source === undefined) live += bytes;
      buffer.users++;
      buffers.set(output, buffer);
    }
    peak = Math.max(peak, live);
    for (const value of new Set([...node.inputs, ...node.outputs])) {
      const buffer = value && buffers.get(value);
      if (buffer === undefined || last.get(value!) !== i) continue;
      buffers.delete(value!);
      if (--buffer.users === 0) live -= buffer.bytes;
    }
  });
  return peak;
}

/**
 * The order in which ONNX Runtime runs nodes: from those that nobody waits for, the last first, depth first to what they
 * need. So the gradients of the last layers are there, and used, before those of the first.
 * Source: onnxruntime, core/graph/graph_viewer.cc (GraphViewer) and graph.cc (ReverseDFSFrom).
 */
export function executionOrder(nodes: readonly Node[]): Node[] {
  const index = new Map(nodes.map((node, i) => [node, i]));
  const ends = nodes.filter((node) => node.outputs.every((value) => !value || value.users.size === 0));
  const order: Node[] = [];
  const seen = new Set<Node>();
  const stack = ends.map((node) => ({ node, done: false }));
  while (stack.length > 0) {
    const { node, done } = stack.pop()!;
    if (done) order.push(node);
    if (done || seen.has(node)) continue;
    seen.add(node);
    stack.push({ node, done: true });
    const before = new Set(node.inputs.map((value) => value?.producer).filter((one) => one && index.has(one)));
    const sorted = [...before].sort((a, b) => index.get(a!)! - index.get(b!)!);
    for (const one of sorted) if (!seen.has(one!)) stack.push({ node: one!, done: false });
  }
  return order;
}
