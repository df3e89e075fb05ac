/**
 * @file Moves the convolutions of a training graph to the runtime's blocked layout. ONNX Runtime does so itself where
 * weights are constant; in training they change. To be called after {@link differentiate}, which knows no such operators.
 */
import { blockedConv, canBlock, isBlocking } from "../graph/blocked-conv.ts";
import { Builder } from "../graph/builder.ts";
import type { Graph } from "../graph/graph.ts";
import type { Node } from "../graph/node.ts";
import type { Value } from "../graph/value.ts";
import { isPointwise, spatialOf, tailOf, windowsOf } from "./gradients/windows.ts";

/**
 * Replaces every Conv whose weights are not constant, whose shapes are known and that the layout is faster for: those of
 * more than one tap, with whole blocks of channels. The graph then runs only where `block` was found.
 * @param shapes as given to `differentiate`. @param block what `channelBlock` found. @returns How many were replaced.
 */
export function blockConvolutions(graph: Graph, shapes: ReadonlyMap<Value, readonly number[]>, block: number): number {
  const b = new Builder(graph, "blocked/");
  let count = 0;
  for (const node of [...graph.nodes()]) {
    if (!node.is("Conv") || node.input(1).isConstant) continue;
    if (replace(node, b, shapes, block)) count++;
  }
  if (count > 0) graph.sort();
  shareBlocks(graph);
  return count;
}

/** One reordering for all who read a value in blocks: of these operators ONNX Runtime merges no equal nodes. */
function shareBlocks(graph: Graph): void {
  const made = new Map<Value, Value>();
  for (const node of [...graph.nodes()]) {
    if (!isBlocking(node)) continue;
    const known = made.get(node.input(0));
    if (known === undefined) made.set(node.input(0), node.output());
    else {
      graph.replaceAllUsesWith(node.output(), known);
      graph.remove(node);
    }
  }
}

function replace(node: Node, b: Builder, shapes: ReadonlyMap<Value, readonly number[]>, block: number): boolean {
  const [x, w, bias] = node.inputs;
  const y = node.output();
  const [from, weights, to] = [shapes.get(x!), shapes.get(w!), shapes.get(y)];
  if (from === undefined || weights === undefined || to === undefined) return false;
  const [channels, filters, groups] = [from[1]!, weights[0]!, node.int("group", 1)];
  const windows = windowsOf(node, spatialOf(weights), spatialOf(from), spatialOf(to));
  const { kernel, strides, dilations, begin } = windows;
  const conv = { channels, filters, groups, kernel, strides, dilations };
  // One tap is a product of matrices already.
  const pointwise = groups === 1 && (isPointwise(windows) || kernel.every((taps) => taps === 1));
  if (pointwise || begin.some((n) => n < 0) || !canBlock(conv, block)) return false;
  const pads = [...begin, ...tailOf(windows).map((n) => Math.max(n, 0))];
  const made = blockedConv(b, x!, w!, bias, { ...conv, pads }, block);
  // The result keeps its name and its place among the outputs.
  const producer = made.producer!;
  node.setOutputs([]);
  producer.setOutputs([y]);
  node.graph!.remove(node);
  return true;
}
