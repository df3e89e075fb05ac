/**
 * @file The three parametrizations: nodes that stand between a value and its users and carry a step's state.
 *
 *   mask            Where(mask, weight, 0)
 *   fake-quantize   [Clip →] QuantizeLinear → DequantizeLinear, on a weight or an activation
 *   codebook        Gather(codebook, Cast(indices))
 *
 * Each has `insert`; `commit` makes what it does to the weight permanent, `remove` takes it away; both leave no nodes.
 * They may be stacked (a fake quantizer behind a mask): then the one next to the weight is committed first.
 * Source: ONNX Where-9, QuantizeLinear-13, DequantizeLinear-13, Clip-13, Gather-13.
 */
import { byteLengthOf, DTYPES } from "../tensor/dtype.ts";
import { isFloatingPoint, Tensor } from "../tensor/tensor.ts";
import type { Model } from "./model.ts";
import type { Node } from "./node.ts";
import {
  failure,
  placeBehind,
  producerOf,
  replaceByConstant,
  requireConstant,
  requireOpset,
  standBetween,
  tensorOf,
  unwrap,
} from "./parametrization-nodes.ts";
import type { ParametrizationEntry, ParametrizationKind } from "./parametrizations.ts";
import type { Value } from "./value.ts";

/** How a parametrization ends. Both return the value that its users read from then on. */
export interface ParametrizationEnd {
  /** Makes it permanent: a plain initializer stands where the nodes stood. @throws GraphError where that cannot be. */
  commit(model: Model, value: Value): Value;
  /** Takes it away: users read what is under it, as it is now. */
  remove(model: Model, value: Value): Value;
}

type Details = ParametrizationEntry["details"];

export const mask = {
  /**
   * Puts a mask over a float weight, for all its users: tied weights share one. What it takes out reads as 0.
   * @param weight A constant, or the result of another parametrization.
   * @param kept bool, with the weight's dimensions; false takes an element out.
   */
  insert(model: Model, weight: Value, kept: Tensor, details?: Details): Value {
    requireOpset(model, "mask", 9);
    const { dtype, shape, graph, name } = weight;
    if (dtype === undefined || !isFloatingPoint(dtype)) throw failure("mask", weight, `expected floats, got ${dtype}`);
    if (kept.dtype !== "bool" || String(kept.dims) !== String(shape)) {
      throw failure("mask", weight, `expected a mask bool[${shape}], got ${kept}`);
    }
    for (const node of weight.users) {
      const there = node.outputs[0] && model.parametrizations.get(node.outputs[0])?.kind;
      if (there === "mask")
        throw failure("mask", weight, "expected no mask on it, found one", "Remove that one first.");
    }
    const zero = tensorOf({ dtype }, [], new Uint8Array(byteLengthOf(dtype, 1)));
    const first = graph.add(
      "Where",
      [graph.addInitializer(`${name}_mask`, kept), weight, graph.addInitializer(`${name}_zero`, zero)],
      { name: `${name}_where`, outputs: [`${name}_masked`], ...placeBehind(weight) },
    );
    const entry = { kind: "mask", ...(details && { details }) } as const;
    return standBetween(model, weight, { result: first.output(), first, input: 1 }, entry);
  },

  /** The weight with zeros where the mask takes something out, whatever was there (NaN, too). */
  commit(model: Model, value: Value): Value {
    const where = producerOf(model, value, "mask");
    const under = where.input(1);
    const tensor = requireConstant("mask", value, under);
    const kept = requireConstant("mask", value, where.inputs[0]).bytes();
    const bytes = Uint8Array.from(tensor.bytes());
    const width = bytes.length / kept.length;
    kept.forEach((keep, i) => {
      if (keep === 0) bytes.fill(0, i * width, (i + 1) * width);
    });
    return replaceByConstant(model, value, tensorOf(tensor, tensor.dims, bytes), {
      under,
      wish: `${under.name}_masked`,
    });
  },

  /** Weights under the mask come back as they are now: the original ones where nothing trained them since. */
  remove: (model: Model, value: Value): Value => unwrap(model, value, producerOf(model, value, "mask").input(1)),
} as const satisfies ParametrizationEnd & Record<string, unknown>;

/** Scale and zero point of a fake quantizer, as QuantizeLinear takes them. */
export interface FakeQuantizer {
  /** float32, `[]` or `[channels]`. */
  readonly scale: Tensor;
  /** 8 or 16 bits; its type is the codes' type, its dimensions are the scale's. */
  readonly zeroPoint: Tensor;
  /** The axis of the channels, where there is one scale for each. */
  readonly axis?: number;
  /** The codes in use, where they are fewer than the type has. */
  readonly range?: { readonly qmin: number; readonly qmax: number };
}

export const fakeQuantize = {
  /**
   * Puts a quantizer behind a weight or an activation (float32), for all its users. A range narrower than the type becomes
   * a Clip before it, or Max and Min where there is one scale per channel (Clip takes scalars only).
   */
  insert(model: Model, value: Value, quantizer: FakeQuantizer, details?: Details): Value {
    const { scale, zeroPoint, axis = 0, range } = quantizer;
    checkQuantizer(model, value, quantizer);
    const { graph, name } = value;
    const perChannel = scale.dims.length > 0;
    const nodes: Node[] = [];
    const add = (op: string, inputs: readonly Value[], attributes = {}): void => {
      const last = nodes.at(-1);
      const place = last === undefined ? placeBehind(value) : { after: last };
      nodes.push(graph.add(op, [last?.output() ?? value, ...inputs], { name: `${name}_${op}`, attributes, ...place }));
    };
    if (range !== undefined) {
      const dims = perChannel ? value.shape!.map((_dim, index) => (index === axis ? scale.size : 1)) : [];
      const zeros = zeroPoint.numbers();
      const bound = (wish: string, code: number): Value =>
        graph.addInitializer(
          wish,
          Tensor.float32(
            dims,
            scale.floats().map((step, c) => (code - zeros[c]!) * step),
          ),
        );
      const [low, high] = [bound(`${name}_low`, range.qmin), bound(`${name}_high`, range.qmax)];
      if (perChannel) {
        add("Max", [low]);
        add("Min", [high]);
      } else add("Clip", [low, high]);
    }
    const parameters = [
      graph.addInitializer(`${name}_scale`, scale),
      graph.addInitializer(`${name}_zero_point`, zeroPoint),
    ];
    const attributes = perChannel ? { axis: { int: axis } } : {};
    add("QuantizeLinear", parameters, attributes);
    add("DequantizeLinear", parameters, attributes);
    // Whether a Clip is the quantizer's or the model's own cannot be seen: the entry says it.
    const entry = { kind: "fake-quantize", details: { ...details, ...(range && { range }) } } as const;
    return standBetween(model, value, { result: nodes.at(-1)!.output(), first: nodes[0]!, input: 0 }, entry);
  },

  /** The rounded weight. @throws GraphError for an activation: its pair can only be removed. */
  commit(model: Model, value: Value): Value {
    const nodes = quantizerNodes(model, value);
    const under = nodes[0]!.input(0);
    const tensor = requireConstant("fake-quantize", value, under);
    const { dims } = tensor;
    const data = tensor.floats().slice();
    for (const node of nodes) {
      const [a, b] = node.inputs.slice(1).map((input) => requireConstant("fake-quantize", value, input));
      if (node.is("Max")) limit(data, dims, a!, Math.max);
      else if (node.is("Min")) limit(data, dims, a!, Math.min);
      else if (node.is("Clip")) {
        limit(data, dims, a!, Math.max);
        limit(data, dims, b!, Math.min);
      } else if (node.is("QuantizeLinear"))
        roundTo(data, dims, { scale: a!, zeroPoint: b!, axis: node.int("axis", 1) });
    }
    return replaceByConstant(model, value, Tensor.float32(dims, data), { under, wish: `${under.name}_rounded` });
  },

  /** The weight or the activation as it is. */
  remove: (model: Model, value: Value): Value => unwrap(model, value, quantizerNodes(model, value)[0]!.input(0)),
} as const satisfies ParametrizationEnd & Record<string, unknown>;

function checkQuantizer(model: Model, value: Value, { scale, zeroPoint, axis, range }: FakeQuantizer): void {
  const fail = (problem: string): Error => failure("fake-quantize", value, problem);
  const { kind, bits } = DTYPES[zeroPoint.dtype];
  if ((kind !== "signed" && kind !== "unsigned") || (bits !== 8 && bits !== 16)) {
    throw fail(`expected a zero point of 8 or 16 bits, got ${zeroPoint}`);
  }
  requireOpset(model, "fake-quantize", bits === 8 ? 13 : 21);
  if (value.dtype !== undefined && value.dtype !== "float32") throw fail(`expected float32, got ${value.dtype}`);
  if (scale.dtype !== "float32" || scale.dims.length > 1 || String(scale.dims) !== String(zeroPoint.dims)) {
    throw fail(
      `expected a float32 scale and a zero point of its dimensions ([] or [channels]), got ${scale}, ${zeroPoint}`,
    );
  }
  if (scale.dims.length > 0 && value.shape?.[axis ?? -1] !== scale.size) {
    throw fail(`expected an axis with ${scale.size} channels, got axis ${axis} of [${value.shape ?? "unknown"}]`);
  }
  const { qmin, qmax } = codesOf(zeroPoint);
  if (range !== undefined && !(qmin <= range.qmin && range.qmin < range.qmax && range.qmax <= qmax)) {
    throw fail(`expected a range within ${qmin} … ${qmax}, got ${range.qmin} … ${range.qmax}`);
  }
}

/** All codes of a zero point's type. */
function codesOf({ dtype }: Tensor): { readonly qmin: number; readonly qmax: number } {
  const { kind, bits } = DTYPES[dtype];
  return kind === "signed" ? { qmin: -(2 ** (bits - 1)), qmax: 2 ** (bits - 1) - 1 } : { qmin: 0, qmax: 2 ** bits - 1 };
}

/** The nodes of a fake quantizer in order: Clip, or Max and Min, where it has a range; then the pair. */
function quantizerNodes(model: Model, value: Value): readonly Node[] {
  const nodes = [producerOf(model, value, "fake-quantize")];
  const range = model.parametrizations.get(value)?.details?.["range"] !== undefined;
  const before = (op: string): boolean => {
    const node = nodes[0]!.input(0).producer;
    if (node?.is(op)) nodes.unshift(node);
    return node?.is(op) ?? false;
  };
  const complete = before("QuantizeLinear") && (!range || before("Clip") || (before("Min") && before("Max")));
  if (!complete)
    throw failure("fake-quantize", value, "expected [Clip →] QuantizeLinear → DequantizeLinear, got others");
  return nodes;
}

/** `round(x / scale)`, ties to even, saturated and back: in float32 at each step, as ONNX Runtime computes it. */
function roundTo(
  data: Float32Array,
  dims: readonly number[],
  { scale, zeroPoint, axis }: { readonly scale: Tensor; readonly zeroPoint: Tensor; readonly axis: number },
): void {
  const EVEN = 1.5 * 2 ** 52; // above 2^52 the spacing of float64 is 1: the addition rounds
  const steps = scale.floats();
  const zeros = zeroPoint.numbers();
  const { qmin, qmax } = codesOf(zeroPoint);
  const inner = steps.length === 1 ? data.length : dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  for (let i = 0; i < data.length; i++) {
    const c = Math.floor(i / inner) % steps.length;
    const quotient = Math.min(Math.max(Math.fround(data[i]! / steps[c]!), -(2 ** 30)), 2 ** 30);
    const code = Math.min(Math.max(quotient + EVEN - EVEN + zeros[c]!, qmin), qmax);
    data[i] = (code - zeros[c]!) * steps[c]!;
  }
}

/** The larger or the smaller of each element and its bound: `[]`, or one per index of one axis (`[1, C, 1]`). */
function limit(
  data: Float32Array,
  dims: readonly number[],
  bound: Tensor,
  choose: (a: number, b: number) => number,
): void {
  const bounds = bound.floats();
  const axis = bound.dims.findIndex((dim) => dim > 1);
  const inner = axis < 0 ? data.length : dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  for (let i = 0; i < data.length; i++) data[i] = choose(data[i]!, bounds[Math.floor(i / inner) % bounds.length]!);
}

export const codebook = {
  /**
   * Stores a weight as indices into a table. The weight itself is gone afterwards, and the result has its name.
   * @param weight A constant (not one that another parametrization has of its own).
   * @param table `[up to 256]`, of the weight's type.
   * @param indices uint8, with the weight's dimensions.
   */
  insert(model: Model, weight: Value, table: Tensor, indices: Tensor, details?: Details): Value {
    const { dtype, dims } = requireConstant("codebook", weight, weight);
    if (table.dims.length !== 1 || table.dtype !== dtype || table.size > 256) {
      throw failure("codebook", weight, `expected a table ${dtype}[up to 256], got ${table}`);
    }
    if (indices.dtype !== "uint8" || String(indices.dims) !== String(dims)) {
      throw failure("codebook", weight, `expected indices uint8[${dims}], got ${indices}`);
    }
    const largest = indices.bytes().reduce((max, index) => Math.max(max, index), 0);
    if (largest >= table.size)
      throw failure("codebook", weight, `expected indices below ${table.size}, got ${largest}`);
    const { graph, name } = weight;
    const first = graph.add("Cast", [graph.addInitializer(`${name}_indices`, indices)], {
      name: `${name}_cast`,
      ...placeBehind(weight),
      attributes: { to: { int: DTYPES.int32.code } }, // Gather takes no uint8
    });
    const gather = graph.add("Gather", [graph.addInitializer(`${name}_codebook`, table), first.output()], {
      name: `${name}_gather`,
      after: first,
    });
    const result = gather.output();
    graph.replaceAllUsesWith(weight, result);
    graph.removeInitializer(weight);
    result.name = name;
    result.setTensorType(dtype, dims);
    model.parametrizations.set(result, { kind: "codebook", ...(details && { details }) });
    return result;
  },

  /** The expanded weight. */
  commit(model: Model, value: Value): Value {
    const gather = producerOf(model, value, "codebook");
    const table = requireConstant("codebook", value, gather.inputs[0]);
    const indices = requireConstant("codebook", value, gather.input(1).producer?.inputs[0]);
    const from = table.bytes();
    const width = from.length / table.size;
    const bytes = new Uint8Array(indices.size * width);
    indices.bytes().forEach((index, i) => {
      bytes.set(from.subarray(index * width, (index + 1) * width), i * width);
    });
    return replaceByConstant(model, value, tensorOf(table, indices.dims, bytes), { wish: value.name });
  },

  /** The same as `commit`: the weight from before the codebook is not kept. */
  remove: (model: Model, value: Value): Value => codebook.commit(model, value),
};

/** How each kind ends. */
export const PARAMETRIZATIONS: Readonly<Record<ParametrizationKind, ParametrizationEnd>> = {
  mask,
  "fake-quantize": fakeQuantize,
  codebook,
};
