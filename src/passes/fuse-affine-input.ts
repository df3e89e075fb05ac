/**
 * @file Fuses a constant factor and summand into the Conv after them.
 *
 *   W ∗ (s · x + t) + b  =  (W · s) ∗ x + (b + Σ W · t)      s, t per input channel
 *
 * Where the convolution pads, the border would be 0 instead of t: then only a factor can go.
 */
import { z } from "zod";
import type { Node } from "../graph/node.ts";
import { isBarrier } from "../graph/parametrizations.ts";
import { defineStep } from "../step/step.ts";
import { Tensor } from "../tensor/tensor.ts";
import { absorbs } from "./channel-affine.ts";
import { layoutOf } from "./channels.ts";

const OPS: ReadonlySet<string> = new Set(["Mul", "Div", "Add", "Sub"]);

export const fuseAffineInput = defineStep({
  name: "fuse-affine-input",
  summary: "Fuse constant factors and summands into the convolution after them",
  options: z.object({}),
  needs: [],
  run(model) {
    let changed = 0;
    for (const graph of model.graphs()) {
      for (const node of graph.nodes()) {
        if (!node.is("Conv") || isBarrier(node)) continue;
        // From the convolution backwards: one operator at a time, the summand before the factor.
        while (fuseOne(node)) changed++;
      }
    }
    return { changed };
  },
});

function fuseOne(node: Node): boolean {
  const graph = node.graph!;
  const input = node.input(0);
  const { producer } = input;
  if (producer === undefined || producer.graph !== graph || input.onlyUser !== node) return false;
  if (producer.domain !== "" || !OPS.has(producer.opType) || isBarrier(producer)) return false;
  if (typeof absorbs(node) === "string") return false;
  const [left, right] = producer.inputs;
  if (left === undefined || right === undefined || left.isConstant === right.isConstant) return false;
  const constantFirst = left.isConstant;
  const [x, constant] = constantFirst ? [right, left] : [left, right];
  if (constantFirst && producer.opType === "Div") return false; // c / x is no affine function
  const weight = node.input(1);
  const tensor = weight.constant!;
  const [outputs, perGroup] = tensor.dims as [number, number];
  const groups = node.int("group", 1);
  const values = perInputChannel(constant.constant!, perGroup * groups, tensor.dims.length);
  if (values === undefined) return false;
  // The constant may be what gives x its channels (one grey channel minus three means): then it stays.
  if (constant.constant!.dims.length > 1) {
    const layout = layoutOf(x);
    if (layout?.rank !== tensor.dims.length || layout.channels !== perGroup * groups) return false;
  }

  const scale = values.map(() => 1);
  const shift = values.map(() => 0);
  values.forEach((value, channel) => {
    if (producer.opType === "Mul") scale[channel] = value;
    else if (producer.opType === "Div") scale[channel] = 1 / value;
    else if (producer.opType === "Add") shift[channel] = value;
    else {
      scale[channel] = constantFirst ? -1 : 1;
      shift[channel] = constantFirst ? value : -value;
    }
  });
  if (!scale.every(Number.isFinite)) return false;
  if (shift.some((value) => value !== 0) && pads(node)) return false;

  // W [O, I/g, k…]: input channel i of output channel o is i + (I/g) · group of o
  const data = tensor.floats().slice();
  const inner = data.length / (outputs * perGroup);
  const added = new Float64Array(outputs);
  for (let o = 0; o < outputs; o++) {
    const first = Math.floor((o * groups) / outputs) * perGroup;
    for (let i = 0; i < perGroup; i++) {
      const start = (o * perGroup + i) * inner;
      for (let k = start; k < start + inner; k++) {
        added[o]! += data[k]! * shift[first + i]!;
        data[k]! *= scale[first + i]!;
      }
    }
  }
  const bias = node.inputs[2];
  const old = bias?.constant?.floats();
  node.setInput(1, graph.addInitializer(`${weight.name}_fused`, Tensor.float32(tensor.dims, data)));
  if (old !== undefined || added.some((value) => value !== 0)) {
    const sum = Float32Array.from(
      added,
      (value, o) => value + (old === undefined ? 0 : old[old.length === 1 ? 0 : o]!),
    );
    node.setInput(2, graph.addInitializer(`${bias?.name ?? weight.name}_bias`, Tensor.float32([outputs], sum)));
  }
  for (const value of [weight, bias]) {
    if (value?.isUnused && value.isConstant) value.graph.removeInitializer(value);
  }
  node.setInput(0, x);
  graph.remove(producer);
  return true;
}

/** Whether anything outside of the input is read. */
function pads(node: Node): boolean {
  const mode = node.string("auto_pad", "NOTSET");
  if (mode === "VALID") return false;
  return mode !== "NOTSET" || (node.ints("pads") ?? []).some((pad) => pad !== 0);
}

/** The constant as one number per input channel of [N, C, …], where it varies along nothing else and keeps the rank. */
function perInputChannel(constant: Tensor, channels: number, rank: number): number[] | undefined {
  if (constant.dtype !== "float32" || constant.dims.length > rank) return undefined;
  const data = constant.floats();
  if (data.length === 1) return new Array<number>(channels).fill(data[0]!);
  const axis = 1 - (rank - constant.dims.length);
  const fits = constant.dims.every((dim, index) => (index === axis ? dim === channels : dim === 1));
  return fits ? [...data] : undefined;
}
