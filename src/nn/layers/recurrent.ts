/**
 * @file LSTM and GRU. Source: torch.nn.LSTM, torch.nn.GRU; ONNX LSTM, GRU.
 *
 * Parameters have PyTorch's names and order of gates; a few nodes that runtimes fold at load bring them into ONNX's:
 * LSTM i, f, g, o → i, o, f, c; GRU r, z, n → z, r, h (with linear_before_reset, which is PyTorch's formula).
 */
import type { Dim, Value } from "../../graph/value.ts";
import { uniform } from "../init.ts";
import type { Module, Scope } from "../module.ts";
import { dropout } from "./activation.ts";
import { checkLast } from "./linear.ts";

export interface RecurrentOptions {
  /** Default 1. */
  readonly numLayers?: number;
  /** Default true. */
  readonly bias?: boolean;
  /** [N, T, features] in and out. Default false: [T, N, features]. */
  readonly batchFirst?: boolean;
  /** Between layers; default 0. */
  readonly dropout?: number;
  /** A second direction, its results beside the first's. Default false. */
  readonly bidirectional?: boolean;
}

export interface GruResult {
  /** [T, N, directions · H], or [N, T, …] with batchFirst. */
  readonly output: Value;
  /** Last hidden state: [layers · directions, N, H]. */
  readonly hidden: Value;
}

export interface LstmResult extends GruResult {
  /** Last cell state: [layers · directions, N, H]. */
  readonly cell: Value;
}

/** First states, each [layers · directions, N, H]; default zeros. */
export interface FirstStates {
  readonly hidden?: Value;
  /** LSTM only. */
  readonly cell?: Value;
}

/** ONNX's gates as positions among PyTorch's. */
const GATES = { LSTM: [0, 3, 1, 2], GRU: [1, 0, 2] } as const;

/** All layers of a GRU. Parameters: weight_ih_l{k} [3H, in], weight_hh_l{k} [3H, H], bias_ih_l{k}, bias_hh_l{k} [3H], and the same with _reverse. */
export function gru(
  inputSize: number,
  hiddenSize: number,
  options: RecurrentOptions = {},
): Module<[x: Value, first?: FirstStates], GruResult> {
  return (s, x, first) => {
    const { output, states } = run(s, "GRU", x, inputSize, hiddenSize, options, [first?.hidden]);
    return { output, hidden: states[0]! };
  };
}

/** All layers of an LSTM. Parameters as {@link gru} has them, with 4H rows. */
export function lstm(
  inputSize: number,
  hiddenSize: number,
  options: RecurrentOptions = {},
): Module<[x: Value, first?: FirstStates], LstmResult> {
  return (s, x, first) => {
    const { output, states } = run(s, "LSTM", x, inputSize, hiddenSize, options, [first?.hidden, first?.cell]);
    return { output, hidden: states[0]!, cell: states[1]! };
  };
}

function run(
  s: Scope,
  kind: keyof typeof GATES,
  x: Value,
  inputSize: number,
  hiddenSize: number,
  options: RecurrentOptions,
  firsts: readonly (Value | undefined)[],
): { readonly output: Value; readonly states: readonly Value[] } {
  const { b } = s;
  const { numLayers = 1, bias = true, batchFirst = false, bidirectional = false } = options;
  checkLast(s, x, inputSize);
  if (x.shape !== undefined && x.shape.length !== 3) {
    throw s.error(`expected three dimensions, got [${x.shape.join(", ")}]`);
  }
  if (firsts.some((value) => value === undefined) && firsts.some((value) => value !== undefined)) {
    throw s.error("expected first states for both hidden and cell, got one");
  }
  const directions = bidirectional ? ["", "_reverse"] : [""];
  const width = directions.length * hiddenSize;
  const ends: Value[][] = firsts.map(() => []);
  let value = batchFirst ? b.transpose(x, [1, 0, 2]) : x;
  for (let layer = 0; layer < numLayers; layer++) {
    if (layer > 0 && options.dropout) value = dropout(options.dropout)(s, value);
    const [w, r, biases] = weights(s, kind, layer === 0 ? inputSize : width, hiddenSize, layer, directions, bias);
    const from = layer * directions.length;
    const starts = firsts.map((state) => state && b.slice(state, [from], [from + directions.length]));
    const node = b.node(
      kind,
      [value, w, r, biases, undefined, ...starts],
      {
        hidden_size: { int: hiddenSize },
        ...(bidirectional && { direction: { string: "bidirectional" } }),
        ...(kind === "GRU" && { linear_before_reset: { int: 1 } }),
      },
      1 + firsts.length,
    );
    firsts.forEach((_, i) => {
      ends[i]!.push(node.output(i + 1));
    });
    // [T, directions, N, H] → [T, N, directions · H]
    value = bidirectional
      ? b.reshape(b.transpose(node.output(), [0, 2, 1, 3]), [0, 0, width])
      : b.squeeze(node.output(), [1]);
  }
  const shape = x.shape && [...x.shape.slice(0, 2), width];
  const stateShape: readonly Dim[] = [numLayers * directions.length, x.shape?.[batchFirst ? 0 : 1] ?? null, hiddenSize];
  return {
    output: s.typed(batchFirst ? b.transpose(value, [1, 0, 2]) : value, shape),
    states: ends.map((parts) => s.typed(b.concat(parts, 0), stateShape)),
  };
}

/** W [directions, gates · H, in], R [directions, gates · H, H], B [directions, 2 · gates · H] of one layer. */
function weights(
  s: Scope,
  kind: keyof typeof GATES,
  inputSize: number,
  hiddenSize: number,
  layer: number,
  directions: readonly string[],
  bias: boolean,
): readonly [Value, Value, Value | undefined] {
  const { b } = s;
  const gates = GATES[kind];
  const rows = gates.length * hiddenSize;
  const bound = 1 / Math.sqrt(hiddenSize);
  const reordered = (value: Value): Value[] => {
    const sizes = b.ints(gates.map(() => hiddenSize));
    const parts = b.node("Split", [value, sizes], { axis: { int: 0 } }, gates.length);
    return gates.map((gate) => parts.output(gate));
  };
  const parameter = (name: string, dims: readonly number[]): Value[] =>
    reordered(s.parameter(name, dims, uniform(-bound, bound)));
  const stacked = (parts: readonly (readonly Value[])[]): Value =>
    b.concat(
      parts.map((gatesInOrder) => b.unsqueeze(b.concat(gatesInOrder, 0), [0])),
      0,
    );
  const own = directions.map((suffix) => ({
    w: parameter(`weight_ih_l${layer}${suffix}`, [rows, inputSize]),
    r: parameter(`weight_hh_l${layer}${suffix}`, [rows, hiddenSize]),
    // PyTorch adds both; ONNX has them one after the other.
    bias: bias
      ? [...parameter(`bias_ih_l${layer}${suffix}`, [rows]), ...parameter(`bias_hh_l${layer}${suffix}`, [rows])]
      : [],
  }));
  return [
    stacked(own.map(({ w }) => w)),
    stacked(own.map(({ r }) => r)),
    bias ? stacked(own.map((direction) => direction.bias)) : undefined,
  ];
}
