/**
 * @file One step of each recurrent cell, in plain operators. Gates stand side by side, so one product serves them all.
 * Source: ONNX operators LSTM, GRU and RNN, version 14.
 */
import type { Builder } from "../graph/builder.ts";
import type { Value } from "../graph/value.ts";

export type CellType = "LSTM" | "GRU" | "RNN";

/** A node as numbers. */
export interface Layer {
  readonly type: CellType;
  readonly steps: number;
  readonly batch: number;
  readonly features: number;
  readonly hidden: number;
  readonly directions: number;
  /** Whether a direction goes from the last step to the first. */
  readonly backward: readonly boolean[];
  /** By direction; only RNN has a choice. */
  readonly activations: readonly string[];
  readonly linearBeforeReset: boolean;
}

/** Undefined: zeros. */
export interface State {
  /** [N, H] */
  readonly h: Value | undefined;
  /** [N, H], of LSTM. */
  readonly c?: Value | undefined;
}

/** What one direction's step works with. */
export interface StepInputs {
  /** x Wᵀ + bias of this step, [N, gates·H], in the parts that the cell asks for. */
  readonly projected: readonly Value[];
  /** R [gates·H, H], in parts. */
  readonly r: readonly Value[];
  /** Added to h Rᵀ, [gates·H]. */
  readonly bias: Value | undefined;
  /** The direction. */
  readonly d: number;
}

/** Biases of the products with W and with R, [D·gates·H] each. */
interface Biases {
  readonly projected?: Value | undefined;
  readonly recurrent?: Value | undefined;
}

export interface Cell {
  readonly gates: number;
  /** Defaults of the attribute, one direction. */
  readonly activations: readonly string[];
  /** What the hidden state may go through, the default first. */
  readonly hidden: readonly string[];
  /** Gates that go together, in what comes from x and in R. */
  parts(layer: Layer): { readonly projected: readonly number[]; readonly r: readonly number[] };
  /** @param bias B [D, 2·gates·H]: those of W and then those of R, by direction. */
  prepare(b: Builder, layer: Layer, bias: Value | undefined): Biases;
  step(b: Builder, layer: Layer, inputs: StepInputs, state: State): State;
}

/** Both biases are added at once, with the projection. */
function summed(gates: number): Cell["prepare"] {
  return (b, { directions, hidden }, bias) => {
    if (bias === undefined) return {};
    const both = b.reshape(bias, [directions, 2, gates * hidden]);
    return { projected: b.reshape(b.sum(both, [1]), [directions * gates * hidden]) };
  };
}

/** h Rᵀ + c. */
function product(b: Builder, h: Value | undefined, r: Value, c: Value): Value {
  return h === undefined ? c : b.op("Gemm", [h, r, c], { transB: { int: 1 } });
}

/** Parts along an axis, with their sizes. */
export function split(b: Builder, value: Value, axis: number, sizes: readonly number[]): readonly Value[] {
  if (sizes.length === 1) return [value];
  const { outputs } = b.node("Split", [value, b.ints(sizes)], { axis: { int: axis } }, sizes.length);
  return outputs.map((part) => part!);
}

// i, o, f = σ(x Wᵀ + h Rᵀ + b), g = tanh(…): c' = f ∘ c + i ∘ g, h' = o ∘ tanh(c'). Gates in the order i, o, f, g.
const LSTM: Cell = {
  gates: 4,
  activations: ["Sigmoid", "Tanh", "Tanh"],
  hidden: ["Tanh"],
  parts: () => ({ projected: [4], r: [4] }),
  prepare: summed(4),
  step(b, { hidden }, { projected, r }, { h, c }) {
    const all = product(b, h, r[0]!, projected[0]!);
    const [gates, cell] = split(b, all, 1, [3 * hidden, hidden]);
    const [i, o, f] = split(b, b.op("Sigmoid", [gates]), 1, [hidden, hidden, hidden]);
    const added = b.mul(i!, b.op("Tanh", [cell]));
    const next = c === undefined ? added : b.add(b.mul(f!, c), added);
    return { h: b.mul(o!, b.op("Tanh", [next])), c: next };
  },
};

// z, r = σ(x Wᵀ + h Rᵀ + b): h' = (1 − z) ∘ n + z ∘ h = n + z ∘ (h − n), with
// n = tanh(x Wₙᵀ + (r ∘ h) Rₙᵀ + b), or with linear_before_reset n = tanh(x Wₙᵀ + bw + r ∘ (h Rₙᵀ + br)). Gates z, r, n.
const GRU: Cell = {
  gates: 3,
  activations: ["Sigmoid", "Tanh"],
  hidden: ["Tanh"],
  parts: ({ linearBeforeReset }) => ({ projected: [2, 1], r: linearBeforeReset ? [3] : [2, 1] }),
  prepare(b, layer, bias) {
    if (bias === undefined || !layer.linearBeforeReset) return summed(3)(b, layer, bias);
    const width = 3 * layer.hidden;
    const [projected, recurrent] = split(b, bias, 1, [width, width]);
    const flat = [layer.directions * width];
    return { projected: b.reshape(projected!, flat), recurrent: b.reshape(recurrent!, flat) };
  },
  step(b, { batch, hidden, linearBeforeReset }, { projected, r, bias }, state) {
    const h = state.h ?? b.full(0, [batch, hidden]);
    const [gates, input] = projected;
    const sigmoid = (value: Value): readonly Value[] => split(b, b.op("Sigmoid", [value]), 1, [hidden, hidden]);
    let z: Value;
    let n: Value;
    if (linearBeforeReset) {
      const all = b.op("Gemm", bias === undefined ? [h, r[0]!] : [h, r[0]!, bias], { transB: { int: 1 } });
      const [recurrent, linear] = split(b, all, 1, [2 * hidden, hidden]);
      const [update, reset] = sigmoid(b.add(gates!, recurrent!));
      z = update!;
      n = b.op("Tanh", [b.add(input!, b.mul(reset!, linear!))]);
    } else {
      const [update, reset] = sigmoid(product(b, h, r[0]!, gates!));
      z = update!;
      n = b.op("Tanh", [product(b, b.mul(reset!, h), r[1]!, input!)]);
    }
    return { h: b.add(n, b.mul(z, b.sub(h, n))) };
  },
};

// h' = f(x Wᵀ + h Rᵀ + b)
const RNN: Cell = {
  gates: 1,
  activations: ["Tanh"],
  hidden: ["Tanh", "Relu"],
  parts: () => ({ projected: [1], r: [1] }),
  prepare: summed(1),
  step: (b, { activations }, { projected, r, d }, { h }) => ({
    h: b.op(activations[d]!, [product(b, h, r[0]!, projected[0]!)]),
  }),
};

export const CELLS: Readonly<Record<CellType, Cell>> = { LSTM, GRU, RNN };
