/**
 * @file The second of three steps of static quantization: the data run through the model in float, and observers watch.
 */
import type { Value } from "../../graph/value.ts";
import { collect } from "../../runtime/collect.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import type { DataSource } from "../../step/data.ts";
import { isFloatingPoint, type Tensor } from "../../tensor/tensor.ts";
import { messageOf } from "../../util/errors.ts";
import type { Progress } from "../../util/progress.ts";
import type { Prepared } from "./prepare.ts";

export interface CalibrateContext {
  readonly runtime: Runtime;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

/**
 * Runs the samples through the model and shows every observed value to its observer, in groups of values that fit the
 * option `budget`. Called again, observers go on from where they are.
 * @returns The number of samples; 0 where nothing is observed, for which nothing runs.
 * @throws InputError where the source has no samples; what the runtime throws; the signal's reason.
 */
export function calibrate(prepared: Prepared, data: DataSource, context: CalibrateContext): Promise<number> {
  return calibrateTogether([prepared], data, context);
}

/**
 * The same for several preparations of one model object, which differ in their observers: the model runs once for all.
 * The first one's `budget` counts.
 */
export async function calibrateTogether(
  all: readonly [Prepared, ...Prepared[]],
  data: DataSource,
  { runtime, progress, signal }: CalibrateContext,
): Promise<number> {
  const [{ model, options }] = all;
  const points = new Set(all.flatMap(({ observers }) => [...observers.keys()]));
  if (points.size === 0) return 0;
  const observe = (point: Value, tensor: Tensor): void => {
    for (const prepared of all) if (prepared.observers.has(point)) show(prepared, point, tensor);
  };
  const limits = { budget: options.budget * 1e6, progress, signal };
  const samples = await collect(model, runtime, [...points], data, observe, limits);
  for (const prepared of all) if (prepared.observers.size > 0) prepared.samples += samples;
  return samples;
}

function show({ observers, auto, failed, rows }: Prepared, point: Value, tensor: Tensor): void {
  if (!isFloatingPoint(tensor.dtype)) failed.set(point, `${point} is ${tensor.dtype}, not float`);
  if (failed.has(point)) return;
  try {
    observers.get(point)!.observe(tensor.floats(), tensor.dims);
    auto.observe(point, tensor);
    rows.observe(point, tensor);
  } catch (error) {
    failed.set(point, `${point}: ${messageOf(error)}`);
  }
}
