/**
 * @file Writes LSTM, GRU and RNN as plain operators, step by step, for the sequence length that their input has. There
 * are no gradients of the operators themselves; of what they are made of there are.
 *
 * The weights stay the initializers that they were. The inputs of all steps are projected at once.
 * Source: ONNX operators LSTM, GRU and RNN, version 14.
 */
import { z } from "zod";
import { Builder, OLDEST_BUILDER_OPSET } from "../graph/builder.ts";
import type { Node } from "../graph/node.ts";
import { isBarrier } from "../graph/parametrizations.ts";
import type { Value } from "../graph/value.ts";
import { decodeString } from "../onnx/wire.ts";
import { defineStep, type LeftAlone } from "../step/step.ts";
import { CELLS, type CellType, type Layer, type State, split } from "./recurrent-cells.ts";

export const unrollRecurrent = defineStep({
  name: "unroll-recurrent",
  summary: "Write LSTM, GRU and RNN as plain operators for a fixed sequence length",
  options: z.object({
    limit: z.number().int().min(1).default(1024).describe("sequences of more steps than this are left alone"),
  }),
  needs: [],
  run(model, { limit }) {
    const changes: string[] = [];
    const leftAlone: LeftAlone[] = [];
    for (const graph of model.graphs()) {
      for (const node of graph.nodes()) {
        if (node.domain !== "" || !Object.hasOwn(CELLS, node.opType)) continue;
        const layer = describeLayer(node, limit);
        if (typeof layer === "string") {
          leftAlone.push({ subject: node.label, opType: node.opType, reason: layer });
          continue;
        }
        unroll(node, layer);
        changes.push(`${node.label}: ${layer.steps} steps`);
        graph.remove(node);
      }
    }
    return { changed: changes.length, changes, leftAlone };
  },
});

/** Dimensions and variant of a node, or why it cannot be unrolled. */
function describeLayer(node: Node, limit: number): Layer | string {
  if (isBarrier(node)) return "it belongs to a parametrization";
  const { opset } = node.graph!.model;
  if (opset < OLDEST_BUILDER_OPSET) return `expected opset ${OLDEST_BUILDER_OPSET} or newer, got ${opset}`;
  const dims = node.input(0).shape;
  const recurrent = node.input(2).shape;
  const known = (shape: typeof dims): shape is readonly number[] =>
    shape?.length === 3 && shape.every((dim) => typeof dim === "number" && dim >= 0);
  if (!known(dims) || !known(recurrent)) return "its input or weights have no fixed dimensions: specialize first";
  if (node.input(0).dtype !== "float32") return `it computes in ${node.input(0).dtype}, not float32`;
  const [steps, batch, features] = dims as [number, number, number];
  if (steps < 1 || steps > limit) return `its sequence has ${steps} steps, expected 1 to ${limit}`;
  if (node.int("layout", 0) !== 0) return "its layout has the batch first";
  if (node.has("clip")) return "it clips";
  if (node.int("input_forget", 0) !== 0) return "its input and forget gates are coupled";
  if (node.inputs[7] !== undefined) return "it has peepholes";
  const lengths = node.inputs[4];
  if (lengths !== undefined && !(lengths.constant?.numbers().every((length) => length === steps) ?? false)) {
    return "its sequences have lengths of their own";
  }
  const type = node.opType as CellType;
  const direction = node.string("direction", "forward");
  const directions = direction === "bidirectional" ? 2 : 1;
  const activations = activationsOf(node, type, directions);
  if (activations === undefined) return "it has activations of its own";
  const hidden = recurrent[2]!;
  return {
    type,
    steps,
    batch,
    features,
    hidden,
    directions,
    backward: directions === 2 ? [false, true] : [direction === "reverse"],
    activations,
    linearBeforeReset: node.int("linear_before_reset", 0) !== 0,
  };
}

/** The hidden activation of each direction, or undefined where others than usual are asked for. */
function activationsOf(node: Node, type: CellType, directions: number): readonly string[] | undefined {
  const { activations, hidden } = CELLS[type];
  const given = node.attributes.get("activations")?.proto.strings?.map(decodeString);
  if (given === undefined) return Array.from({ length: directions }, () => hidden[0]!);
  const each = activations.length;
  const chosen: string[] = [];
  for (let d = 0; d < directions; d++) {
    const [...own] = given.slice(d * each, (d + 1) * each).map((name) => name.toLowerCase());
    const last = hidden.find((name) => name.toLowerCase() === own[0]);
    const usual = each === 1 ? last !== undefined : activations.every((name, i) => name.toLowerCase() === own[i]);
    if (!usual) return undefined;
    chosen.push(last ?? hidden[0]!);
  }
  return chosen;
}

function unroll(node: Node, layer: Layer): void {
  const { steps, batch, features, hidden, directions } = layer;
  const { gates, parts, step, prepare } = CELLS[layer.type];
  const graph = node.graph!;
  const b = new Builder(graph, `${node.label}/`);
  const width = gates * hidden;

  // x Wᵀ + bias for all steps and directions, [T·N, D·gates·H]
  const { projected, recurrent } = prepare(b, layer, node.inputs[3]);
  const x = b.reshape(node.input(0), [steps * batch, features]);
  const w = b.reshape(node.input(1), [directions * width, features]);
  const inputs = b.op("Gemm", projected === undefined ? [x, w] : [x, w, projected], { transB: { int: 1 } });
  const perDirection = split(b, inputs, 1, repeat(width, directions));
  const rs = split(b, b.reshape(node.input(2), [directions * width, hidden]), 0, repeat(width, directions));
  const biases = recurrent && split(b, recurrent, 0, repeat(width, directions));
  const state = (value: Value | undefined): readonly Value[] | undefined =>
    value && split(b, b.reshape(value, [directions * batch, hidden]), 0, repeat(batch, directions));
  const [h0, c0] = [state(node.inputs[5]), state(node.inputs[6])];

  const finals: State[] = [];
  const sequences: Value[] = [];
  const sizes = parts(layer);
  const wide = (counts: readonly number[]): number[] => counts.map((count) => count * hidden);
  for (let d = 0; d < directions; d++) {
    const r = split(b, rs[d]!, 0, wide(sizes.r));
    // By part, then by step.
    const projections = split(b, perDirection[d]!, 1, wide(sizes.projected)).map((part) =>
      split(b, part, 0, repeat(batch, steps)),
    );
    const hiddens: Value[] = new Array(steps);
    let current: State = { h: h0?.[d], c: c0?.[d] };
    for (let i = 0; i < steps; i++) {
      const t = layer.backward[d] ? steps - 1 - i : i;
      const given = { projected: projections.map((part) => part[t]!), r, bias: biases?.[d], d };
      current = step(b, layer, given, current);
      hiddens[t] = current.h!;
    }
    finals.push(current);
    if (used(node.outputs[0])) sequences.push(b.reshape(b.concat(hiddens, 0), [steps, 1, batch, hidden]));
  }
  const stacked = (values: readonly Value[]): Value => b.reshape(b.concat(values, 0), [directions, batch, hidden]);
  const results = [
    () => b.concat(sequences, 1),
    () => stacked(finals.map(({ h }) => h!)),
    () => stacked(finals.map(({ c }) => c!)),
  ];
  for (const [i, output] of node.outputs.entries()) {
    if (used(output)) graph.replaceAllUsesWith(output, results[i]!());
  }
}

function used(value: Value | undefined): value is Value {
  return value !== undefined && !value.isUnused;
}

function repeat(size: number, count: number): number[] {
  return Array.from({ length: count }, () => size);
}
