/**
 * @file Connectionist temporal classification: the probability of a text, summed over all ways to spread it over time.
 *
 * The text l₁ … l_S becomes l' = blank, l₁, blank, l₂, …, blank (L = 2S + 1). With y_t the log-probabilities at time t:
 *
 *   α₀(0) = y₀(l'₀), α₀(1) = y₀(l'₁), else −∞
 *   α_t(k) = y_t(l'_k) + logΣexp(α_{t−1}(k), α_{t−1}(k − 1), α_{t−1}(k − 2) where l'_k is no blank and not l'_{k−2})
 *   loss = −logΣexp(α_T(2S), α_T(2S − 1))
 *
 * Time is unrolled. Samples that end earlier keep their α. −∞ is a large finite number, so that no difference is NaN.
 * Source: Graves et al. 2006, section 4.1; reductions as PyTorch's CTCLoss.
 */
import { z } from "zod";
import type { Value } from "../../graph/value.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { logProbabilities } from "./logits.ts";
import { commonOptions, defineLoss, type LossContext, reductionOption } from "./loss.ts";

const NEVER = -1e30;
/** Losses above it are of texts that do not fit into their time. */
const IMPOSSIBLE = 1e29;

export const ctc = defineLoss({
  kind: "ctc",
  summary: "Connectionist temporal classification: texts without positions",
  options: z.strictObject({
    kind: z.literal("ctc"),
    ...commonOptions,
    blank: z.number().int().min(0).default(0).describe("the class that stands for nothing"),
    keys: z.array(z.string()).optional().describe("text of each class, for labels that are texts"),
    timeAxis: z
      .union([z.literal(0), z.literal(1)])
      .default(1)
      .describe("0: [time, batch, classes]; 1: [batch, time, classes]"),
    lengths: z
      .string()
      .default("label-lengths")
      .describe("name of the texts' lengths [batch]; not fed: all of label's width"),
    times: z
      .string()
      .default("input-lengths")
      .describe("name of the outputs' lengths in time [batch]; not fed: all of it"),
    reduction: reductionOption,
  }),
  build(c, { target, blank, timeAxis, lengths, times, reduction }) {
    const { b } = c;
    const { dims } = c.output;
    if (dims.length !== 3) throw c.refuse(`expected an output [batch, time, classes], got [${dims.join(", ")}]`);
    const [batch, time] = timeAxis === 1 ? [dims[0]!, dims[1]!] : [dims[1]!, dims[0]!];
    const label = c.target(target);
    const width = label.dims[1];
    if (label.dims.length !== 2 || label.dims[0] !== batch || width === undefined || width === 0) {
      throw c.refuse(`expected labels [${batch}, longest text], got [${label.dims.join(", ")}]`);
    }
    const size = 2 * width + 1;
    const length = lengthsOf(c, lengths, batch, width); // [N, 1]
    const texts = textsOf(c, label.value, length, batch, width, blank); // l' [N, L]

    let y = logProbabilities(c, 2);
    if (timeAxis === 0) y = b.transpose(y, [1, 0, 2]);
    const index = b.expand(b.unsqueeze(texts, [1]), [batch, time, size]);
    const emitted = b.op("GatherElements", [y, index], { axis: { int: 2 } }); // y_t(l'_k) [N, T, L]

    const skips = skipMask(c, texts, batch, size, blank);
    const start = b.initializer(
      Tensor.float32(
        [1, size],
        Array.from({ length: size }, (_, k) => (k < 2 ? 0 : NEVER)),
      ),
      "start",
    );
    const given = c.has(times) ? lengthsOf(c, times, batch, time) : undefined;
    const at = (t: number): Value => b.squeeze(b.slice(emitted, [t], [t + 1], [1]), [1]); // [N, L]
    let alpha = b.add(at(0), start);
    for (let t = 1; t < time; t++) {
      // Two columns of −∞ in front: k − 1 and k − 2 are slices.
      const padded = b.op("Pad", [alpha, b.ints([0, 2, 0, 0]), b.scalar(NEVER)]);
      const back1 = b.slice(padded, [1], [size + 1], [1]);
      const back2 = b.where(skips, b.slice(padded, [0], [size], [1]), b.scalar(NEVER));
      const next = b.add(at(t), logSum(c, [alpha, back1, back2], 0));
      alpha = given === undefined ? next : b.where(b.op("Greater", [given, int64(c, [], [t])]), next, alpha);
    }
    const ends = endMask(c, length, size);
    const likelihood = logSumExp(c, b.where(ends, alpha, b.scalar(NEVER)), 1); // [N]
    const losses = b.neg(likelihood);
    // PyTorch's zero_infinity: what cannot be aligned teaches nothing.
    const counted = b.where(b.op("Less", [losses, b.scalar(IMPOSSIBLE)]), losses, b.scalar(0));
    if (reduction === "sum") return b.sum(counted, undefined, false);
    const lettersOf = b.op("Max", [b.op("Cast", [b.squeeze(length, [1])], { to: { int: 1 } }), b.scalar(1)]);
    return b.mean(b.div(counted, lettersOf), undefined, false);
  },
});

const int64 = (c: LossContext, dims: readonly number[], values: readonly number[]): Value =>
  c.b.initializer(Tensor.int64(dims, values));

/** int64 [N, 1], as fed or all the same. */
function lengthsOf(c: LossContext, name: string, batch: number, all: number): Value {
  const { b } = c;
  if (!c.has(name)) return int64(c, [batch, 1], new Array(batch).fill(all));
  const fed = c.target(name);
  if (String(fed.dims) !== String([batch]))
    throw c.refuse(`expected "${name}" [${batch}], got [${fed.dims.join(", ")}]`);
  return b.unsqueeze(b.op("Cast", [fed.value], { to: { int: 7 } }), [1]);
}

/** l': blanks between letters, and everywhere behind the text's end. int64 [N, 2S + 1] */
function textsOf(c: LossContext, label: Value, length: Value, batch: number, width: number, blank: number): Value {
  const { b } = c;
  const positions = int64(
    c,
    [1, width],
    Array.from({ length: width }, (_, i) => i),
  );
  const letters = b.op("Cast", [label], { to: { int: 7 } });
  const blanks = int64(c, [], [blank]);
  const inside = b.where(b.op("Less", [positions, length]), letters, blanks);
  const pairs = b.concat([b.unsqueeze(b.expand(blanks, [batch, width]), [2]), b.unsqueeze(inside, [2])], 2);
  return b.concat([b.reshape(pairs, [batch, 2 * width]), b.expand(blanks, [batch, 1])], 1);
}

/** Where a step may leave out the blank before: at letters that differ from the one before. bool [N, L] */
function skipMask(c: LossContext, texts: Value, batch: number, size: number, blank: number): Value {
  const { b } = c;
  const before = b.concat([b.expand(int64(c, [], [blank]), [batch, 2]), b.slice(texts, [0], [size - 2], [1])], 1);
  const differs = b.op("Not", [b.op("Equal", [texts, before])]);
  return b.op("And", [differs, b.op("Not", [b.op("Equal", [texts, int64(c, [], [blank])])])]);
}

/** The last letter and the blank behind it. bool [N, L] */
function endMask(c: LossContext, length: Value, size: number): Value {
  const { b } = c;
  const k = int64(
    c,
    [1, size],
    Array.from({ length: size }, (_, i) => i),
  );
  const last = b.mul(length, int64(c, [], [2]));
  return b.op("Or", [b.op("Equal", [k, last]), b.op("Equal", [k, b.sub(last, int64(c, [], [1]))])]);
}

function logSum(c: LossContext, terms: readonly Value[], axis: number): Value {
  return logSumExp(
    c,
    c.b.concat(
      terms.map((term) => c.b.unsqueeze(term, [axis])),
      axis,
    ),
    axis,
  );
}

function logSumExp(c: LossContext, a: Value, axis: number): Value {
  return c.b.reduce("ReduceLogSumExp", a, [axis], false);
}
