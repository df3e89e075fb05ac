/**
 * @file Appends the update to a graph with gradients: accumulation, clipping, the optimizer, moving averages.
 */
import { Builder } from "../graph/builder.ts";
import type { Model } from "../graph/model.ts";
import type { Value } from "../graph/value.ts";
import { byteLengthOf, elementCount } from "../tensor/dtype.ts";
import { Tensor } from "../tensor/tensor.ts";
import { matchesName } from "../util/name-patterns.ts";
import { optimizerOf } from "./optimizers/optimizers.ts";
import type { TrainingOptions } from "./options.ts";
import { GRADIENT_SCALE, LEARNING_RATE, type StateEntry, type StateKind } from "./program.ts";

/** A parameter in the graph. */
export interface Trained {
  readonly name: string;
  readonly value: Value;
  /** What a mask leaves of it; the value itself without one. */
  readonly masked: Value;
  /** bool, of its dimensions. */
  readonly mask: Value | undefined;
  readonly dims: readonly number[];
  readonly gradient: Value;
  /** The gradient of what the mask leaves, of entries under the mask, too; the same without one, or where not asked for. */
  readonly dense: Value;
}

export interface Update {
  /** Values that are the next ones of the state, by entry. */
  readonly entries: readonly (Omit<StateEntry, "initial" | "output"> & {
    readonly next: Value;
    readonly initial: Tensor;
  })[];
  /** Gradients with what was accumulated before, by the accumulator's name. */
  readonly accumulated: ReadonlyMap<string, Value>;
  readonly norm: Value | undefined;
  readonly scalars: readonly string[];
}

const COUNTER = "train/updates";

/** @param initial Contents of parameters. */
export function appendUpdate(
  model: Model,
  trained: readonly Trained[],
  options: TrainingOptions,
  initial: ReadonlyMap<string, Tensor>,
): Update {
  const { graph } = model;
  const b = new Builder(graph, "update/");
  const optimizer = optimizerOf(options.optimizer.kind);
  const entries: Update["entries"][number][] = [];
  const input = (name: string, dtype: "float32" | "int64", dims: readonly number[]): Value => {
    const value = graph.newValue(name);
    value.setTensorType(dtype, dims);
    graph.inputs.push(value);
    return value;
  };
  const give = (kind: StateKind, before: Value, next: Value, first: Tensor, parameter?: string): void => {
    const entry = { name: before.name, kind, input: before.name, next, initial: first };
    entries.push(parameter === undefined ? entry : { ...entry, parameter });
  };

  const scalars: string[] = [LEARNING_RATE];
  const rate = input(LEARNING_RATE, "float32", []);
  const { straightThrough, movement } = options.masks;
  const dense = straightThrough || movement;
  let gradients = trained.map((own) => (dense ? own.dense : own.gradient));
  const accumulated = new Map<string, Value>();
  if (options.accumulate) {
    scalars.push(GRADIENT_SCALE);
    const scale = input(GRADIENT_SCALE, "float32", []);
    gradients = trained.map(({ name, dims }, i) => {
      const before = input(`${name}/accumulator`, "float32", dims);
      const sum = b.add(gradients[i]!, before);
      accumulated.set(before.name, sum);
      give("accumulator", before, b.full(0, dims), zeros(dims), name);
      return b.mul(sum, scale);
    });
  }
  if (movement) {
    trained.forEach(({ name, value, mask, dims }, i) => {
      if (mask === undefined) return;
      // S ← S − γ · w · ∂L/∂(masked w)
      const before = input(`${name}/movement`, "float32", dims);
      const next = b.sub(before, b.mul(b.mul(value, gradients[i]!), rate));
      give("score", before, next, zeros(dims), name);
    });
  }
  if (dense && !straightThrough) {
    gradients = trained.map(({ mask }, i) =>
      mask === undefined ? gradients[i]! : b.where(mask, gradients[i]!, b.scalar(0)),
    );
  }
  let norm: Value | undefined;
  if (options.clipNorm !== undefined) {
    norm = normOf(b, gradients);
    // Source: torch.nn.utils.clip_grad_norm_
    const factor = b.op("Min", [b.div(b.scalar(options.clipNorm), b.offset(norm, 1e-6)), b.scalar(1)]);
    gradients = gradients.map((gradient) => b.mul(gradient, factor));
  }

  const before = input(COUNTER, "int64", []);
  const count = b.add(before, b.initializer(Tensor.scalar("int64", 1), "one"));
  give("counter", before, count, Tensor.scalar("int64", 0));
  const once = memo();
  const corrections = (beta: number): Value =>
    once(`correction ${beta}`, () => {
      const double = (value: number): Value =>
        b.initializer(Tensor.of("float64", [], Float64Array.of(value)), "double");
      const power = b.op("Pow", [double(beta), b.op("Cast", [count], { to: { int: 11 } })]);
      return b.op("Cast", [b.sub(double(1), power)], { to: { int: 1 } });
    });

  trained.forEach(({ name, value, masked, mask, dims }, i) => {
    const group = options.groups.find(({ match }) => match.some((pattern) => matchesName(pattern, { label: name })));
    const own = b.under(`update/${name}/`);
    const factor = group?.learningRate ?? 1;
    const updated = optimizer.update(
      {
        b: own,
        parameter: value,
        gradient: gradients[i]!,
        exclusive: gradients.filter((other) => other === gradients[i]).length === 1,
        decayed: options.updateMasked ? value : masked,
        weightDecay: group?.weightDecay ?? options.optimizer.weightDecay,
        rate: factor === 1 ? rate : once(`rate ${factor}`, () => b.scale(rate, factor)),
        biasCorrection: corrections,
        firstThen: (first, then) =>
          once(`first ${first} ${then}`, () =>
            b.where(
              b.op("Equal", [before, b.initializer(Tensor.scalar("int64", 0), "zero")]),
              b.scalar(first),
              b.scalar(then),
            ),
          ),
        shared: (key, make) => once(`shared ${key}`, make),
        moment: (moment) => once(`${name}/${moment}`, () => input(`${name}/${moment}`, "float32", dims)),
        keep: (moment, next) =>
          give(
            "optimizer",
            once(`${name}/${moment}`, () => input(`${name}/${moment}`, "float32", dims)),
            next,
            zeros(dims),
            name,
          ),
      },
      options.optimizer,
    );
    // What a mask took out stays exactly as it is: a moment from before the mask must not move it.
    const next = mask === undefined || options.updateMasked ? updated : own.where(mask, updated, value);
    give("parameter", value, next, initial.get(name)!);
    if (options.ema !== undefined) {
      const average = input(`${name}/ema`, "float32", dims);
      const blended = own.add(own.scale(average, options.ema), own.scale(next, 1 - options.ema));
      give("ema", average, blended, initial.get(name)!, name);
    }
  });
  return { entries, accumulated, norm, scalars };
}

/** √(Σ over all gradients of Σ g²) */
function normOf(b: Builder, gradients: readonly Value[]): Value {
  const squares = gradients.map((gradient) => b.sum(b.square(gradient), undefined, false));
  return b.op("Sqrt", [squares.length === 1 ? squares[0]! : b.op("Sum", squares)]);
}

function memo(): (key: string, make: () => Value) => Value {
  const made = new Map<string, Value>();
  return (key, make) => {
    const value = made.get(key) ?? make();
    made.set(key, value);
    return value;
  };
}

function zeros(dims: readonly number[]): Tensor {
  const bytes = byteLengthOf("float32", elementCount(dims));
  return Tensor.deferred("float32", dims, () => new Uint8Array(bytes));
}
