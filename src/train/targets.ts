/**
 * @file What losses compare with: labels of samples as tensors, and what the teacher gives for the same batch.
 */
import { cloneModel } from "../graph/clone.ts";
import type { Model } from "../graph/model.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import type { Value } from "../graph/value.ts";
import { describeLabel, labelNumbers } from "../measure/metrics/labels.ts";
import { encodeModel, joinChunks } from "../onnx/encode.ts";
import type { Runtime, Session, Tensors } from "../runtime/runtime.ts";
import { Tensor } from "../tensor/tensor.ts";
import { InputError, OptionError } from "../util/errors.ts";
import type { Batch } from "./batches.ts";
import type { LossOptions } from "./losses/losses.ts";
import { trainingForm } from "./prepare.ts";
import { bucketOf } from "./programs.ts";
import { textTargets } from "./text-targets.ts";

/** Target names that mean the teacher's value: "teacher" the loss's own output, "teacher:NAME" any other. */
const TEACHER = /^teacher(?::(.+))?$/;

/** Losses whose labels are indices of classes. CTC's are texts of them, all others' numbers like the output's. */
const CLASSES: ReadonlySet<LossOptions["kind"]> = new Set<LossOptions["kind"]>(["cross-entropy", "nll"]);

/** Sessions of teachers that are open at once, where each is for inputs of some dimensions. */
const MOST_SESSIONS = 8;

export interface Targets {
  /** Whether any loss asks the teacher. */
  readonly teacher: boolean;
  /** Whether any loss asks for labels. */
  readonly labels: boolean;
  /** The batch with its targets. `outputs`: the teacher's, where it was asked. */
  feeds(batch: Batch): Promise<{ readonly feeds: Tensors; readonly outputs: Tensors | undefined }>;
  /** The teacher's outputs. */
  outputs(inputs: Tensors): Promise<Tensors>;
  release(): Promise<void>;
}

export interface TargetsOptions {
  /** Default: the model as it is. */
  readonly teacher?: Model | undefined;
  readonly threads?: number;
  /** Inputs that are the same in all batches. */
  readonly constant?: readonly string[];
}

/**
 * @param model Whose outputs are compared; what it gives tells the labels' dimensions.
 * @throws OptionError for values that there are not.
 */
export function createTargets(
  model: Model,
  losses: readonly LossOptions[],
  runtime: Runtime,
  { teacher = model, threads = 1, constant = [] }: TargetsOptions = {},
): Targets {
  const asked = losses.map((loss) => ({ loss, output: loss.output ?? onlyOutput(model, loss), name: nameOf(loss) }));
  const fromTeacher = asked.some(({ name }) => name !== undefined);
  const fromLabels = asked.filter(({ name }) => name === undefined);
  const shown = new Set(asked.map(({ output, name }) => (name === undefined ? output : name || output)));
  const load = (shows: Model): Promise<Session> =>
    runtime.load({ bytes: joinChunks(encodeModel(toOnnx(shows))) }, { threads });
  const sessions = new Map<string, Promise<Session>>();
  // What is in a branch, or made when a recurrent layer is unrolled, is there in the form for training only.
  const inForm = [...shown].some((name) => !hasValue(teacher, name));
  const session = async (inputs: Tensors): Promise<Session> => {
    const key = inForm ? bucketOf(inputs) : "";
    const open = async (): Promise<Session> => {
      if (!inForm) return load(withOutputs(teacher, shown));
      const form = await trainingForm(teacher, constant, { runtime, feeds: inputs });
      return load(withOutputs(form.model, shown));
    };
    const opened = sessions.get(key) ?? open();
    sessions.delete(key);
    sessions.set(key, opened);
    const [oldest] = sessions;
    if (sessions.size > MOST_SESSIONS && oldest !== undefined) {
      sessions.delete(oldest[0]);
      await (await oldest[1]).release();
    }
    return opened;
  };
  const release = async (): Promise<void> => {
    const open = [...sessions.values()];
    sessions.clear();
    for (const opened of open) await (await opened).release();
  };
  const run = async (inputs: Tensors): Promise<Tensors> => {
    const opened = await session(inputs);
    // Constant ones are inputs no more.
    const taken = Object.entries(inputs).filter(([name]) => opened.inputs.some((port) => port.name === name));
    return opened.run(inForm ? Object.fromEntries(taken) : inputs);
  };
  // Dimensions of outputs by those of inputs.
  const known = new Map<string, Tensors>();
  return {
    teacher: fromTeacher,
    labels: fromLabels.length > 0,
    outputs: run,
    async feeds(batch) {
      const key = Object.values(batch.inputs).join(" ");
      const outputs = fromTeacher ? await run(batch.inputs) : undefined;
      const like = outputs ?? known.get(key) ?? (await run(batch.inputs));
      if (fromLabels.length > 0) known.set(key, like);
      // Dimensions are all that was asked for: a session holds on to the memory of its largest run.
      if (!fromTeacher) await release();
      const targets: Record<string, Tensor> = {};
      for (const { loss, output, name } of asked) {
        if (name !== undefined) targets[loss.target] = like[name || output]!;
        else if (targets[loss.target] === undefined)
          Object.assign(targets, labelTargets(loss, like[output]!.dims, batch));
      }
      return { feeds: { ...batch.inputs, ...targets }, outputs };
    },
    release,
  };
}

/** The teacher's value: "" for the loss's own output, undefined for labels. */
function nameOf({ target }: LossOptions): string | undefined {
  const found = TEACHER.exec(target);
  return found === null ? undefined : (found[1] ?? "");
}

function onlyOutput(model: Model, { kind }: LossOptions): string {
  const [first, ...others] = model.graph.outputs.filter(
    ({ dtype }) => dtype === undefined || dtype.startsWith("float"),
  );
  if (first !== undefined && others.length === 0) return first.name;
  throw new OptionError({
    area: "train",
    subject: `loss ${kind}, output`,
    problem: `expected a name, the model has ${others.length + (first ? 1 : 0)} float outputs`,
    help: `Its outputs are: ${model.graph.outputs.join(", ")}.`,
  });
}

const hasValue = ({ graph }: Model, name: string): boolean =>
  graph.outputs.some((output) => output.name === name) ||
  [...graph.nodes()].some((node) => node.outputs.some((value) => value?.name === name));

/** A copy that gives these values, too. */
function withOutputs(model: Model, names: ReadonlySet<string>): Model {
  const copy = cloneModel(model);
  const { graph } = copy;
  const own = graph.outputs.map(({ name }) => name);
  const found: Value[] = [];
  for (const node of graph.nodes()) {
    for (const value of node.outputs)
      if (value && names.has(value.name) && !own.includes(value.name)) found.push(value);
  }
  for (const name of names) {
    if (own.includes(name) || found.some((value) => value.name === name)) continue;
    throw new OptionError({
      area: "train",
      subject: `value "${name}"`,
      problem: "expected a value that a node of the main graph makes, found none of this name",
      help: "tersor inspect shows a model's values.",
    });
  }
  graph.setOutputs([...graph.outputs, ...found]);
  return copy;
}

/** Labels of a batch as the tensors that a loss takes. */
function labelTargets(loss: LossOptions, output: readonly number[], batch: Batch): Record<string, Tensor> {
  if (loss.kind === "ctc")
    return textTargets(
      loss,
      batch.labels.map((label) => ownLabel(label, loss)),
      output,
      batch,
    );
  const rows = batch.labels.map((label, i) => numbersOf(label, loss, batch.indices[i] ?? batch.indices[0]!));
  const size = output.reduce((product, dim) => product * dim, 1);
  const all = rows.flat();
  if (!CLASSES.has(loss.kind)) {
    requireCount(all.length, size, output, loss, batch);
    return { [loss.target]: Tensor.float32(output, all) };
  }
  const { axis, ignoreIndex } = loss as Extract<LossOptions, { kind: "cross-entropy" }>;
  const at = axis < 0 ? axis + output.length : axis;
  const classes = output[at] ?? 1;
  if (all.length === size && classes > 1 && loss.kind === "cross-entropy")
    return { [loss.target]: Tensor.float32(output, all) };
  const dims = output.filter((_, i) => i !== at);
  requireCount(all.length, size / classes, dims, loss, batch);
  rows.forEach((row, i) => {
    const wrong = row.find(
      (label) => label !== ignoreIndex && !(Number.isInteger(label) && label >= 0 && label < classes),
    );
    if (wrong !== undefined) {
      throw new InputError({
        area: "train",
        subject: `sample ${batch.indices[i] ?? batch.indices[0]}, label`,
        problem: `expected a class from 0 to ${classes - 1}, as the model has ${classes}, got ${wrong}`,
        help: "Give --ignore-index (API: ignoreIndex) for labels that count for nothing, or another --loss.",
      });
    }
  });
  return { [loss.target]: Tensor.int64(dims, all) };
}

/** Labels may name what each loss compares with. */
function ownLabel(label: unknown, { target }: LossOptions): unknown {
  return isRecord(label) && target in label ? label[target] : label;
}

function numbersOf(label: unknown, loss: LossOptions, index: number): readonly number[] {
  const { kind } = loss;
  const own = ownLabel(label, loss);
  const numbers = labelNumbers(own);
  if (numbers !== undefined) return numbers;
  const none = own === undefined;
  throw new InputError({
    area: "train",
    subject: `sample ${index}, label`,
    problem: `expected numbers for the loss ${kind}, got ${none ? "no label" : describeLabel(own)}`,
    help: none
      ? "Give data with labels, or train without them with --loss distill (API: kind distillation)."
      : "Give labels as numbers.",
  });
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  value !== null &&
  typeof value === "object" &&
  !Array.isArray(value) &&
  !ArrayBuffer.isView(value) &&
  !(value instanceof Tensor);

function requireCount(
  got: number,
  expected: number,
  dims: readonly number[],
  { kind }: LossOptions,
  batch: Batch,
): void {
  if (got === expected) return;
  throw new InputError({
    area: "train",
    subject: `samples ${batch.indices.slice(0, 3).join(", ")}${batch.indices.length > 3 ? ", …" : ""}, label`,
    problem: `expected ${expected} numbers for [${dims.join(", ")}], as the loss ${kind} compares with, got ${got}`,
    help: "Labels must fit the model's output: see docs/training.md.",
  });
}
