/**
 * @file How close models come to another on samples: signal-to-noise ratio over all float outputs together. Where an output
 * is made by Softmax or Sigmoid, what goes into that is compared: probabilities near 0 and 1 hide errors, or jump.
 */
import { fromOnnx } from "../../graph/from-onnx.ts";
import type { Model } from "../../graph/model.ts";
import { toOnnx } from "../../graph/to-onnx.ts";
import type { Value } from "../../graph/value.ts";
import { encodeModel, joinChunks } from "../../onnx/encode.ts";
import type { Runtime, Session, SessionOptions, Tensors } from "../../runtime/runtime.ts";
import type { DataSource } from "../../step/data.ts";
import { isFloatingPoint } from "../../tensor/tensor.ts";
import { checkCancelled, type Progress } from "../../util/progress.ts";

export interface OutputSqnrOptions {
  readonly session?: SessionOptions;
  readonly progress?: Progress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Mean over float outputs of their SQNR in dB against the reference, each over all samples. Outputs whose sizes differ are
 * left out. @returns One number per model.
 */
export async function outputSqnr(
  reference: Model,
  models: readonly Model[],
  runtime: Runtime,
  data: DataSource,
  options: OutputSqnrOptions = {},
): Promise<number[]> {
  const judged = withJudgedOutputs([reference, ...models]);
  const sessions: Session[] = [];
  const sums = models.map(() => new Map<number, Sum>());
  try {
    for (const { model } of judged) {
      sessions.push(await runtime.load({ bytes: joinChunks(encodeModel(toOnnx(model))) }, options.session));
    }
    let done = 0;
    for await (const { inputs } of data.samples()) {
      checkCancelled(options.signal);
      const [wanted, ...others] = await inTurn(sessions, (session) => session.run(inputs));
      judged[0]!.names.forEach((name, output) => {
        others.forEach((got, index) => {
          addNoise(sums[index]!, output, wanted![name], got[judged[index + 1]!.names[output]!]);
        });
      });
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

interface Sum {
  signal: number;
  noise: number;
}

async function inTurn<T, Result>(items: readonly T[], run: (item: T) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (const item of items) results.push(await run(item));
  return results;
}

const SQUASHING: ReadonlySet<string> = new Set(["Softmax", "LogSoftmax", "Sigmoid"]);

/** Copies of the models with the judged values as outputs, and their names by position. */
function withJudgedOutputs(models: readonly Model[]): { readonly model: Model; readonly names: readonly string[] }[] {
  const copies = models.map((model) => fromOnnx(toOnnx(model)));
  const nodes = copies.map((copy) => new Map([...copy.graph.nodes()].map((node) => [node.label, node])));
  const chosen = copies.map((): Value[] => []);
  for (const [position, output] of copies[0]!.graph.outputs.entries()) {
    const { producer } = output;
    const label = producer?.domain === "" && SQUASHING.has(producer.opType) ? producer.label : undefined;
    const before = nodes.map((byLabel) => {
      const node = label === undefined ? undefined : byLabel.get(label);
      const value = node?.opType === producer?.opType ? node?.inputs[0] : undefined;
      return value?.producer === undefined || value.isOutput ? undefined : value;
    });
    const all = before.every((value) => value !== undefined);
    chosen.forEach((values, i) => {
      const value = all ? before[i]! : copies[i]!.graph.outputs[position]!;
      if (!values.includes(value)) values.push(value);
    });
  }
  return copies.map((model, i) => {
    model.graph.setOutputs(chosen[i]!);
    return { model, names: chosen[i]!.map((value) => value.name) };
  });
}

function addNoise(
  sums: Map<number, Sum>,
  output: number,
  wanted: Tensors[string] | undefined,
  got: Tensors[string] | undefined,
): void {
  if (wanted === undefined || got === undefined || !isFloatingPoint(wanted.dtype) || got.size !== wanted.size) return;
  const sum = sums.get(output) ?? { signal: 0, noise: 0 };
  const [x, y] = [wanted.floats(), got.floats()];
  for (let i = 0; i < x.length; i++) {
    const difference = x[i]! - y[i]!;
    // Masks of attention are infinite in both.
    if (!Number.isFinite(difference)) continue;
    sum.signal += x[i]! * x[i]!;
    sum.noise += difference * difference;
  }
  if (sum.signal > 0) sums.set(output, sum);
}
