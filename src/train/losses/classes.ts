/**
 * @file The negative log-likelihood of classes, shared by cross-entropy and NLL.
 *
 * With class weights w, targets t (indices) or q (distributions), smoothing ε over C classes:
 *
 *   q' = (1 − ε) · onehot(t) + ε/C       lossᵢ = −Σ_c w_c · q'_c · log p_c
 *   mean: Σ lossᵢ / Σ w_tᵢ for indices (ignored ones count for nothing), Σ lossᵢ / N for distributions
 *
 * Source: PyTorch's CrossEntropyLoss and NLLLoss; smoothing: Szegedy et al. 2016, section 7.
 */
import { z } from "zod";
import type { Value } from "../../graph/value.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { asFloat, type LossContext, reduceAll, reductionOption } from "./loss.ts";

export const classOptions = {
  axis: z.number().int().default(-1).describe("the axis of the classes"),
  classWeights: z.array(z.number().min(0)).optional().describe("one factor per class"),
  ignoreIndex: z.number().int().optional().describe("targets of this class count for nothing"),
  reduction: reductionOption,
} as const;

interface ClassOptions {
  readonly target: string;
  readonly classWeights?: readonly number[] | undefined;
  readonly ignoreIndex?: number | undefined;
  readonly reduction: "mean" | "sum";
}

/** @param logp Log-probabilities, of the output's dimensions. */
export function classLoss(c: LossContext, logp: Value, axis: number, options: ClassOptions, smoothing = 0): Value {
  const { b } = c;
  const { dims } = c.output;
  const classes = dims[axis]!;
  const { value: target, dims: targetDims, dtype } = c.target(options.target);
  const { classWeights } = options;
  if (classWeights !== undefined && classWeights.length !== classes) {
    throw c.refuse(`expected ${classes} class weights, got ${classWeights.length}`);
  }
  const weights =
    classWeights &&
    b.initializer(
      Tensor.float32(
        dims.map((_, i) => (i === axis ? classes : 1)),
        classWeights,
      ),
      "class_weights",
    );
  const weighted = weights === undefined ? logp : b.mul(logp, weights);
  const smooth = (q: Value): Value => (smoothing === 0 ? q : b.offset(b.scale(q, 1 - smoothing), smoothing / classes));

  if (String(targetDims) === String(dims) && (dtype === "float32" || dtype === "float64" || dtype === "float16")) {
    if (options.ignoreIndex !== undefined) throw c.refuse("expected class indices with ignoreIndex, got distributions");
    const rows = b.sum(b.mul(smooth(asFloat(b, target, dtype)), weighted), [axis], false);
    return b.neg(reduceAll(b, rows, options.reduction));
  }
  const rowDims = dims.filter((_, i) => i !== axis);
  if (String(targetDims) !== String(rowDims)) {
    throw c.refuse(
      `expected class indices [${rowDims.join(", ")}] or distributions [${dims.join(", ")}], got [${targetDims.join(", ")}]`,
      "Set axis where the classes are on another one.",
    );
  }
  const { index, kept } = knownClasses(c, target, options.ignoreIndex);
  const onehot = b.op("OneHot", [index, b.ints([classes]), offOn(c)], { axis: { int: axis } });
  let rows = b.neg(b.sum(b.mul(smooth(onehot), weighted), [axis], false)); // [rows]
  // Rows that count, each with its class's weight.
  let counts = weights && b.sum(b.mul(onehot, weights), [axis], false);
  if (kept !== undefined) {
    rows = b.mul(rows, kept);
    counts = counts === undefined ? kept : b.mul(counts, kept);
  }
  if (options.reduction === "sum" || counts === undefined) return reduceAll(b, rows, options.reduction);
  // A batch in which nothing counts has the loss 0 (PyTorch: NaN).
  const total = b.op("Max", [reduceAll(b, counts, "sum"), b.scalar(1e-12)]);
  return b.div(reduceAll(b, rows, "sum"), total);
}

/** Ignored classes become 0, and `kept` 0 or 1: what they are would be out of range. */
function knownClasses(
  c: LossContext,
  target: Value,
  ignore: number | undefined,
): { readonly index: Value; readonly kept?: Value } {
  const { b } = c;
  const index = b.op("Cast", [target], { to: { int: 7 } });
  if (ignore === undefined) return { index };
  const zero = b.initializer(Tensor.scalar("int64", 0));
  const dropped = b.op("Equal", [index, b.initializer(Tensor.scalar("int64", ignore))]);
  return { index: b.where(dropped, zero, index), kept: b.indicator(b.op("Not", [dropped])) };
}

const offOn = (c: LossContext): Value => c.b.initializer(Tensor.float32([2], [0, 1]), "off_on");
