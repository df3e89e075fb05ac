/**
 * @file How close models come to another on samples: signal-to-noise ratio over all float outputs together.
 */
import type { Model } from "../../graph/model.ts";
import { toOnnx } from "../../graph/to-onnx.ts";
import { encodeModel, joinChunks } from "../../onnx/encode.ts";
import type { Runtime, Session, SessionOptions, Tensors } from "../../runtime/runtime.ts";
import type { DataSource } from "../../step/data.ts";
import { isFloatingPoint } from "../../tensor/tensor.ts";
import { checkCancelled, type Progress } from "../../util/progress.ts";

/**
 * Mean SQNR in dB of the float outputs of each model against the reference, each over all samples. Outputs whose dimensions
 * differ are left out. @returns One number per model.
 */
export async function outputSqnr(
  reference: Model,
  models: readonly Model[],
  runtime: Runtime,
  data: DataSource,
  options: {
    readonly session?: SessionOptions;
    readonly progress?: Progress | undefined;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<number[]> {
  const sessions: Session[] = [];
  const sums = models.map(() => new Map<string, { signal: number; noise: number }>());
  try {
    for (const model of [reference, ...models]) {
      sessions.push(await runtime.load({ bytes: joinChunks(encodeModel(toOnnx(model))) }, options.session));
    }
    const [first, ...others] = sessions as [Session, ...Session[]];
    let done = 0;
    for await (const { inputs } of data.samples()) {
      checkCancelled(options.signal);
      const wanted = await first.run(inputs);
      for (const [index, session] of others.entries()) addNoise(sums[index]!, wanted, await session.run(inputs));
      options.progress?.("comparing", ++done, data.length);
    }
  } finally {
    for (const session of sessions) await session.release();
  }
  return sums.map((byOutput) => {
    const values = [...byOutput.values()].map(
      ({ signal, noise }) => 10 * Math.log10(signal / Math.max(noise, 1e-30 * signal)),
    );
    return values.reduce((a, b) => a + b, 0) / Math.max(values.length, 1);
  });
}

function addNoise(sums: Map<string, { signal: number; noise: number }>, wanted: Tensors, got: Tensors): void {
  for (const [name, tensor] of Object.entries(wanted)) {
    const other = got[name];
    if (!isFloatingPoint(tensor.dtype) || other === undefined || other.size !== tensor.size) continue;
    const sum = sums.get(name) ?? { signal: 0, noise: 0 };
    const [x, y] = [tensor.floats(), other.floats()];
    for (let i = 0; i < x.length; i++) {
      const difference = x[i]! - y[i]!;
      // Masks of attention are infinite in both.
      if (!Number.isFinite(difference)) continue;
      sum.signal += x[i]! * x[i]!;
      sum.noise += difference * difference;
    }
    if (sum.signal > 0) sums.set(name, sum);
  }
}
