/**
 * @file The three parametrizations: nodes that stand between a constant and its users and carry a step's state.
 *
 *   mask            Where(mask, weight, 0)
 *   fake-quantize   [Clip →] QuantizeLinear → DequantizeLinear, on a weight or an activation
 *   codebook        Gather(codebook, Cast(indices))
 *
 * Each has `insert`; `commit` makes what it does to the weight permanent and `remove` takes it away; both leave no node.
 * They may be stacked (a fake quantizer behind a mask); the inner one is then committed first.
 * Source: ONNX Where-9, QuantizeLinear-13, DequantizeLinear-13, Clip-13, Gather-13.
 */
import { DTYPES, type DType } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import { GraphError, UnsupportedError } from "../util/errors.ts";
import type { AddOptions } from "./graph.ts";
import type { Model } from "./model.ts";
import type { Node } from "./node.ts";
import type { ParametrizationEntry, ParametrizationKind } from "./parametrizations.ts";
import type { Value } from "./value.ts";

/** How a parametrization ends. Both return the value that its users read from then on. */
export interface ParametrizationEnd {
  /** Makes it permanent: a plain initializer stands where the nodes stood. @throws GraphError where there is no constant. */
  commit(model: Model, value: Value): Value;
  /** Takes it away: users read what is under it, as it is now. */
  remove(model: Model, value: Value): Value;
}

type Details = ParametrizationEntry["details"];

export const mask = {
  /**
   * Puts a mask over a constant, for all its users (tied weights share one). False takes an element out.
   * @param weight A float constant, or a parametrization's result.
   * @param kept bool, with the weight's dimensions.
   */
  insert(model: Model, weight: Value, kept: Tensor, details?: Details): Value {
    requireOpset(model, "mask", 9);
    const { dtype, dims } = constantUnder("mask", weight);
    if (kept.dtype !== "bool" || String(kept.dims) !== String(dims)) {
      throw failure("mask", weight, `expected a mask bool[${dims}], got ${kept}`);
    }
    if ([...weight.users].some((node) => model.parametrizations.get(node.output())?.kind === "mask")) {
      throw failure("mask", weight, "expected no mask on it, found one", "Change that one, or remove it first.");
    }
    const { graph, name } = weight;
    const zero = new Tensor(dtype, [], Tensor.of("uint8", [], new Uint8Array(1)).source);
    const inputs = [
      graph.addInitializer(`${name}_mask`, kept),
      weight,
      graph.addInitializer(`${name}_zero`, zerosLike(zero)),
    ];
    const node = graph.add("Where", inputs, { name: `${name}_where`, outputs: [`${name}_masked`], ...behind(weight) });
    return register(model, weight, node.output(), "mask", node, 1, details);
  },
  /** Weights multiplied by the mask; what it takes out becomes 0 whatever it was, NaN too. */
  commit(model: Model, value: Value): Value {
    const where = producerOf(model, value, "mask");
    const weight = where.input(1);
    const tensor = requireConstant("mask", value, weight);
    const kept = requireConstant("mask", value, where.input(0)).bytes();
    const bytes = tensor.bytes().slice();
    const width = bytes.length / kept.length;
    for (let i = 0; i < kept.length; i++) if (kept[i] === 0) bytes.fill(0, i * width, (i + 1) * width);
    return replaceByConstant(model, value, weight, new Tensor(tensor.dtype, tensor.dims, inMemory(bytes)));
  },
  remove: (model: Model, value: Value): Value => unwrap(model, value, producerOf(model, value, "mask").input(1)),
} as const;

/** Scale and zero point of a fake quantizer, as QuantizeLinear takes them. */
export interface FakeQuantizer {
  /** float32, `[]` or `[channels]`. */
  readonly scale: Tensor;
  /** Its type is the type of the codes; dimensions as the scale's. */
  readonly zeroPoint: Tensor;
  /** The channels' axis; needed where the scale has more than one element. */
  readonly axis?: number;
  /** The codes in use where they are fewer than the type's. */
  readonly range?: { readonly qmin: number; readonly qmax: number };
}

export const fakeQuantize = {
  /**
   * Puts a quantizer behind a constant, a parametrization's result or an activation, for all its users. A range narrower
   * than the type becomes a Clip, or Max and Min where there is a scale per channel (Clip takes scalars only).
   */
  insert(model: Model, value: Value, quantizer: FakeQuantizer, details?: Details): Value {
    const { scale, zeroPoint, axis, range } = quantizer;
    const bits = DTYPES[zeroPoint.dtype].bits;
    const integer = DTYPES[zeroPoint.dtype].kind === "signed" || DTYPES[zeroPoint.dtype].kind === "unsigned";
    if (!integer || bits > 16 || scale.dtype !== "float32" || String(scale.dims) !== String(zeroPoint.dims)) {
      const problem = `expected a float32 scale and a zero point of up to 16 bits alike, got ${scale}, ${zeroPoint}`;
      throw failure("fake-quantize", value, problem);
    }
    requireOpset(model, "fake-quantize", bits === 8 ? 13 : 21);
    const rank = value.shape?.length ?? constantOf(value)?.dims.length;
    if (scale.dims.length > 0 && (axis === undefined || rank === undefined)) {
      throw failure("fake-quantize", value, "expected an axis and a known rank for one scale per channel, got none");
    }
    const { graph, name } = value;
    const parameters = [
      graph.addInitializer(`${name}_fake_scale`, scale),
      graph.addInitializer(`${name}_fake_zero_point`, zeroPoint),
    ];
    const attributes = scale.dims.length > 0 ? { axis: { int: axis! } } : {};
    const nodes: Node[] = [];
    const add = (op: string, inputs: readonly Value[], options: AddOptions = {}): Node => {
      const last = nodes.at(-1);
      const place = last === undefined ? behind(value) : { after: last };
      const node = graph.add(op, [last?.output() ?? value, ...inputs], { name: `${name}_${op}`, ...options, ...place });
      nodes.push(node);
      return node;
    };
    if (range !== undefined) {
      const bound = (code: number): Tensor => boundOf(code, quantizer, rank ?? 0);
      const low = graph.addInitializer(`${name}_fake_low`, bound(range.qmin));
      const high = graph.addInitializer(`${name}_fake_high`, bound(range.qmax));
      if (scale.dims.length === 0) add("Clip", [low, high]);
      else {
        add("Max", [low]);
        add("Min", [high]);
      }
    }
    add("QuantizeLinear", parameters, { attributes });
    const result = add("DequantizeLinear", parameters, { attributes, outputs: [`${name}_fake_quantized`] }).output();
    return register(model, value, result, "fake-quantize", nodes[0]!, 0, details);
  },
  /** The rounded weight as a float initializer. @throws GraphError for an activation. */
  commit(model: Model, value: Value): Value {
    const chain = fakeQuantizerNodes(producerOf(model, value, "fake-quantize"));
    const source = chain[0]!.input(0);
    const tensor = requireConstant("fake-quantize", value, source);
    const data = tensor.floats().slice();
    for (const node of chain.slice(0, -1)) {
      const [first, second] = node.inputs.slice(1).map((input) => requireConstant("fake-quantize", value, input!));
      if (node.is("QuantizeLinear")) roundTo(data, tensor.dims, first!, second!, node.int("axis", 1));
      else if (!node.is("Min")) limit(data, tensor.dims, first!, Math.max);
      if (node.is("Clip")) limit(data, tensor.dims, second!, Math.min);
      else if (node.is("Min")) limit(data, tensor.dims, first!, Math.min);
    }
    return replaceByConstant(model, value, source, Tensor.float32(tensor.dims, data));
  },
  remove: (model: Model, value: Value): Value =>
    unwrap(model, value, fakeQuantizerNodes(producerOf(model, value, "fake-quantize"))[0]!.input(0)),
} as const;

export const codebook = {
  /**
   * Stores a constant as indices into a table. The original is gone afterwards; the result has its name.
   * @param weight A constant that no parametrization has as its own.
   * @param table `[up to 256]`, of the weight's type.
   * @param indices uint8, with the weight's dimensions.
   */
  insert(model: Model, weight: Value, table: Tensor, indices: Tensor, details?: Details): Value {
    const tensor = requireConstant("codebook", weight, weight);
    const fits = table.dims.length === 1 && table.dtype === tensor.dtype;
    if (!fits || indices.dtype !== "uint8" || String(indices.dims) !== String(tensor.dims)) {
      const problem = `expected a ${tensor.dtype}[n] table and uint8[${tensor.dims}] indices, got ${table}, ${indices}`;
      throw failure("codebook", weight, problem);
    }
    const largest = indices.bytes().reduce((max, index) => Math.max(max, index), 0);
    if (largest >= table.size) {
      throw failure("codebook", weight, `expected indices below ${table.size}, got ${largest}`);
    }
    const { graph, name } = weight;
    const cast = graph.add("Cast", [graph.addInitializer(`${name}_indices`, indices)], {
      name: `${name}_cast`,
      ...behind(weight),
      attributes: { to: { int: DTYPES.int32.code } },
    });
    const gather = graph.add("Gather", [graph.addInitializer(`${name}_codebook`, table), cast.output()], {
      name: `${name}_gather`,
      after: cast,
    });
    const result = gather.output();
    model.parametrizations.set(result, { kind: "codebook", ...(details && { details }) });
    graph.replaceAllUsesWith(weight, result);
    graph.removeInitializer(weight);
    result.name = name;
    return result;
  },
  /** The expanded weight as a float initializer. */
  commit(model: Model, value: Value): Value {
    const gather = producerOf(model, value, "codebook");
    const indices = requireConstant("codebook", value, gather.input(1).producer?.inputs[0]);
    const table = requireConstant("codebook", value, gather.input(0));
    const from = table.bytes();
    const width = from.length / table.size;
    const bytes = new Uint8Array(indices.size * width);
    indices.bytes().forEach((index, i) => {
      bytes.set(from.subarray(index * width, (index + 1) * width), i * width);
    });
    return replaceByConstant(model, value, undefined, new Tensor(table.dtype, indices.dims, inMemory(bytes)));
  },
  /** The same as `commit`: the weight that was there before is not kept. */
  remove: (model: Model, value: Value): Value => codebook.commit(model, value),
} as const;

/** How each kind ends. */
export const PARAMETRIZATIONS: Readonly<Record<ParametrizationKind, ParametrizationEnd>> = {
  mask,
  "fake-quantize": fakeQuantize,
  codebook,
};
