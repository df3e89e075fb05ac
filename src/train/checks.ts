/**
 * @file What is looked at before training begins, and which of the trainer's options are the program's.
 */
import type { Model } from "../graph/model.ts";
import type { Tensors } from "../runtime/runtime.ts";
import { isFloatingPoint, type Tensor } from "../tensor/tensor.ts";
import { InputError, OptionError } from "../util/errors.ts";
import { formatBytes } from "../util/format.ts";
import { matchesName } from "../util/name-patterns.ts";
import type { Batch } from "./batches.ts";
import { ALLOCATOR } from "./memory.ts";
import type { TrainingInput } from "./options.ts";
import type { MemoryEstimate } from "./program.ts";
import type { TrainerOptions } from "./trainer-options.ts";
import { namedConstants } from "./write-back.ts";

/** A pattern that names nothing is a mistake: what it was to keep would be trained. */
export function checkPatterns(model: Model, options: TrainerOptions): void {
  const { train: only, freeze, groups, penalties } = options;
  const names = [...namedConstants(model)]
    .filter(([, { tensor }]) => isFloatingPoint(tensor.dtype))
    .map(([name]) => name);
  const all = {
    train: only,
    freeze,
    groups: groups.flatMap(({ match }) => match),
    penalties: penalties.flatMap(({ match }) => match),
  };
  for (const [option, patterns] of Object.entries(all)) {
    const wrong = patterns.find((pattern) => !names.some((name) => matchesName(pattern, { label: name })));
    if (wrong === undefined) continue;
    throw new OptionError({
      area: "train",
      subject: `option ${option}`,
      problem: `expected patterns that match names of the model's constants, got "${wrong}", which matches none`,
      help: `They are: ${names.slice(0, 8).join(", ")}${names.length > 8 ? `, and ${names.length - 8} more` : ""}.`,
    });
  }
}

/** Letters of what is wrong with an input. */
const MOST_TEXT = 300;

function sameContents(a: Tensor, b: Tensor): boolean {
  const [own, other] = [a.bytes(), b.bytes()];
  return String(a) === String(b) && own.every((byte, at) => byte === other[at]);
}

/** @throws InputError where an input that was taken as constant has other contents. */
export function checkConstant(constant: Tensors, { inputs, indices }: Batch): void {
  for (const [name, tensor] of Object.entries(constant)) {
    const own = inputs[name];
    if (own !== undefined && sameContents(own, tensor)) continue;
    throw new InputError({
      area: "train",
      subject: `samples ${indices.slice(0, 3).join(", ")}${indices.length > 3 ? ", …" : ""}, input "${name}"`,
      problem:
        `expected ${tensor.data()}, as in the first ones, for it was taken to be constant, got ${own?.data() ?? "none"}`.slice(
          0,
          MOST_TEXT,
        ),
      help: "Train on samples with one value of it at a time.",
    });
  }
}

/** @throws OptionError where the estimate is above the limit: says what takes the most, and what helps against that. */
export function limitMemory(memory: MemoryEstimate, { memoryLimit }: TrainerOptions, batchSize: number): void {
  const { peak, parameters, optimizer } = memory;
  const working = ALLOCATOR * memory.working;
  if (memoryLimit === undefined || peak <= memoryLimit) return;
  const parts = [
    { bytes: working, text: `values of one step with a batch of ${batchSize}` },
    { bytes: 2 * (parameters + optimizer), text: "parameters, moments and averages, old and new" },
    { bytes: peak - working - 2 * (parameters + optimizer), text: "the runtime, copies of the model, validation" },
  ].sort((a, b) => b.bytes - a.bytes);
  const [largest, ...others] = parts.map(({ bytes, text }) => `${formatBytes(bytes)} ${text}`);
  const batch = `a smaller --batch-size (now ${batchSize}) with more --accumulate, which learns about the same`;
  const state = "fewer trained layers with --freeze, or an optimizer with fewer moments (--optimizer sgd)";
  throw new OptionError({
    area: "train",
    subject: "memory",
    problem: `expected at most ${formatBytes(memoryLimit)}, the estimate is ${formatBytes(peak)}: most of it, ${largest}; ${others.join("; ")}`,
    help: `Give ${working >= 2 * (parameters + optimizer) ? `${batch}; or ${state}` : `${state}; or ${batch}`}; or raise the limit (--max-memory, API: memoryLimit).`,
  });
}

/** What of the trainer's options is the program's. */
export function programOptions(
  options: TrainerOptions,
  accumulate: boolean,
  masks?: TrainingInput["masks"],
): TrainingInput & Pick<TrainerOptions, "losses"> {
  const { losses, penalties, optimizer, train: only, freeze, groups, clipNorm, batchNorm, dropout, ema } = options;
  const { constantInputs, updateMasked, missing } = options;
  return {
    losses,
    penalties,
    optimizer,
    train: only,
    freeze,
    groups,
    batchNorm,
    dropout,
    constantInputs,
    updateMasked,
    missing,
    accumulate,
    ...(clipNorm !== undefined && { clipNorm }),
    ...(ema !== undefined && { ema }),
    ...(masks && { masks }),
  };
}
