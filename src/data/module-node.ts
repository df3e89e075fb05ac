/**
 * @file Samples from a user's module: whatever its code makes. Node only.
 */
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Port, Tensors } from "../runtime/runtime.ts";
import type { DataSource, Sample } from "../step/data.ts";
import { InputError, messageOf } from "../util/errors.ts";
import { checkInputs, describePort } from "./source.ts";

/** A user's measure of one sample's outputs: higher is better. */
export type Score = (outputs: Tensors, sample: Sample) => number | Promise<number>;

/** What samples are for, and the names of a module's functions. */
export type Part = "calibration" | "evaluation";

export interface ModuleSource extends DataSource {
  readonly score?: Score;
  /** The function that was taken. */
  readonly part: Part;
}

export const MODULE_EXTENSIONS = [".js", ".mjs", ".ts", ".mts", ".cjs"];

const area = "data";

/**
 * Opens a module.
 * @param part which function; where the module has only the other one, that is taken.
 * @throws InputError where it does not load or has neither; while iterating, for samples that do not fit the model.
 */
export async function openModule(path: string, inputs: readonly Port[], part: Part): Promise<ModuleSource> {
  const exports = (await import(pathToFileURL(resolve(path)).href).catch((cause) => {
    const typescript = (cause as NodeJS.ErrnoException).code === "ERR_UNKNOWN_FILE_EXTENSION";
    throw new InputError({
      area,
      subject: path,
      problem: typescript
        ? "expected a module that this Node loads, got TypeScript"
        : `cannot be loaded: ${messageOf(cause)}`,
      help: typescript ? "Node loads TypeScript from version 22.18 on; before that, compile it to .mjs." : undefined,
      cause,
    });
  })) as Record<string, unknown>;
  const other = part === "calibration" ? "evaluation" : "calibration";
  const used = typeof exports[part] === "function" ? part : other;
  const produce = exports[used];
  if (typeof produce !== "function") {
    throw new InputError({
      area,
      subject: path,
      problem: `expected an exported function calibration() or evaluation(), got exports ${Object.keys(exports).join(", ") || "none"}`,
      help: "Write: export function* calibration() { yield { inputs: { name: { dims, data } } }; }",
    });
  }
  const { score } = exports;
  if (score !== undefined && typeof score !== "function") {
    throw new InputError({ area, subject: path, problem: `expected score(outputs, sample), got a ${typeof score}` });
  }
  return {
    name: `${used}() of ${basename(path)}`,
    score: score as Score | undefined,
    part: used,
    async *samples() {
      let index = 0;
      const subject = `${used}() of ${path}`;
      const samples = guarded(async function* () {
        yield* iterate(await produce(), subject);
      }, subject);
      for await (const sample of samples) {
        yield checkSample(sample, inputs, `${subject}, sample ${++index}`);
      }
      if (index === 0) {
        throw new InputError({ area, subject: path, problem: `expected samples from ${used}(), got none` });
      }
    },
  };
}

/** What the user's function throws, with the place where it did: not an error of ours. */
async function* guarded(produce: () => AsyncIterable<unknown>, subject: string): AsyncIterable<unknown> {
  try {
    yield* produce();
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    const where =
      cause instanceof Error ? /\(?((?:file:\/\/)?\/[^()\s]+:\d+):\d+\)?/.exec(cause.stack ?? "")?.[1] : undefined;
    const problem = `it threw ${cause instanceof Error ? cause.name : "an error"}: ${messageOf(cause)}`;
    throw new InputError({
      area,
      subject,
      problem: where === undefined ? problem : `${problem} (at ${where.replace("file://", "")})`,
      help: "Correct the module.",
      cause,
    });
  }
}

function iterate(value: unknown, subject: string): Iterable<unknown> | AsyncIterable<unknown> {
  if (value !== null && typeof value === "object" && (Symbol.iterator in value || Symbol.asyncIterator in value)) {
    return value as Iterable<unknown> | AsyncIterable<unknown>;
  }
  throw new InputError({ area, subject, problem: `expected an iterable of samples, got ${typeof value}` });
}

function checkSample(sample: unknown, ports: readonly Port[], subject: string): Sample {
  const { inputs, label } = (sample ?? {}) as { inputs?: unknown; label?: unknown };
  if (inputs === null || typeof inputs !== "object") {
    const got = sample !== null && typeof sample === "object" ? Object.keys(sample).join(", ") : String(sample);
    throw new InputError({
      area,
      subject,
      problem: `expected { inputs: { name: tensor }, label? }, got ${got || "an empty object"}`,
      help: `The model takes ${ports.map(describePort).join(", ")}.`,
    });
  }
  const checked = checkInputs(inputs as Record<string, unknown>, ports, subject);
  return label === undefined ? { inputs: checked } : { inputs: checked, label };
}
