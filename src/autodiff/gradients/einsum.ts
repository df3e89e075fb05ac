/**
 * @file Gradients of Einsum: the gradient of one operand is the Einsum of dy and the other operands, with that operand's
 * labels as the result's. Source: ONNX operator specification; Laue et al., A Simple and Efficient Tensor Calculus (2020).
 */
import type { Value } from "../../graph/value.ts";
import type { GradientContext, InputGradients } from "../rule.ts";
import { sumTo } from "../sum-to.ts";

interface Equation {
  readonly operands: readonly string[];
  readonly result: string;
}

export function einsumGradients(c: GradientContext): InputGradients {
  const text = c.node.string("equation", "").replaceAll(" ", "");
  const { operands, result } = parse(
    text,
    c.node.inputs.map((_, i) => c.dims(c.x(i)).length),
  );
  const repeated = operands.find((labels) => new Set(labels).size < labels.length);
  if (repeated !== undefined) {
    throw c.unsupported(`expected every label once per operand, got the diagonal "${repeated}"`);
  }
  const sizes = new Map<string, number>();
  operands.forEach((labels, i) => {
    const dims = c.dims(c.x(i));
    [...labels].forEach((label, axis) => {
      sizes.set(label, Math.max(sizes.get(label) ?? 1, dims[axis]!));
    });
  });
  return operands.map((labels, i) => (c.wants(i) ? gradient(c, { operands, result }, i, labels, sizes) : undefined));
}

const ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const ELLIPSIS = "...";

/**
 * `ab,bc` means that labels which occur once are the result's, in the alphabet's order (capitals first), behind the axes of
 * an ellipsis. Those get labels of their own; operands with fewer of them lack the first ones.
 */
function parse(text: string, ranks: readonly number[]): Equation {
  const [left, right] = text.split("->");
  const operands = left!.split(",");
  const lengths = operands.map((labels, i) =>
    labels.includes(ELLIPSIS) ? ranks[i]! - (labels.length - ELLIPSIS.length) : 0,
  );
  const free = [...ALPHABET].filter((label) => !text.includes(label)).slice(0, Math.max(...lengths));
  const write = (labels: string, length: number): string =>
    labels.replace(ELLIPSIS, free.slice(free.length - length).join(""));
  const written = operands.map((labels, i) => write(labels, lengths[i]!));
  if (right !== undefined) return { operands: written, result: write(right, free.length) };
  const all = [...operands.join("").replaceAll(".", "")];
  const once = all.filter((label) => all.indexOf(label) === all.lastIndexOf(label));
  const last = once.sort((a, b) => a.charCodeAt(0) - b.charCodeAt(0)).join("");
  return { operands: written, result: free.join("") + last };
}

function gradient(
  c: GradientContext,
  { operands, result }: Equation,
  index: number,
  labels: string,
  sizes: ReadonlyMap<string, number>,
): Value {
  const { b } = c;
  const others = operands.flatMap((_, i) => (i === index ? [] : [i]));
  const known = new Set([result, ...others.map((i) => operands[i]!)].join(""));
  // A label that only this operand has was summed away alone: its gradient is the same all along it.
  const found = [...labels].filter((label) => known.has(label)).join("");
  const missing = [...labels].flatMap((label, axis) => (known.has(label) ? [] : [axis]));
  const dims = c.dims(c.x(index));
  let value = c.dy();
  if (others.length > 0 || found !== result) {
    const equation = `${[result, ...others.map((i) => operands[i]!)].join(",")}->${found}`;
    value = b.op("Einsum", [value, ...others.map((i) => c.x(i))], { equation: { string: equation } });
  }
  // An axis of length 1 was repeated along the others' axis of the same label.
  const full = [...labels].map((label, axis) => (known.has(label) ? sizes.get(label)! : dims[axis]!));
  const shaped = full.map((dim, axis) => (missing.includes(axis) ? 1 : dim));
  if (missing.length > 0) value = b.expand(b.reshape(value, shaped), full);
  return sumTo(b, value, full, dims);
}
