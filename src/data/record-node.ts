/**
 * @file Records an application's feeds into a folder, in Node.
 */
import { mkdirSync, readdirSync } from "node:fs";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InputError, messageOf } from "../util/errors.ts";
import { type RecordableSession, type Recording, recordRuns, type SamplingOptions } from "./record.ts";

export interface RecordOptions extends SamplingOptions {
  /** The folder for the .npz files; it is made. Samples that are there already count. Default "feeds". */
  readonly path?: string;
}

const FEED = /^feed-(\d{5,})\.npz$/;

/**
 * Records what an application feeds its model: one .npz per run in a folder that `--data` reads. Give it the session that
 * runs (of onnxruntime-node, onnxruntime-web or transformers.js), before the first run:
 *
 * ```js
 * const session = await InferenceSession.create("model.onnx");
 * const recording = record(session, { samples: 200, path: "feeds" });
 * ```
 *
 * `session.run` works as before, and after the last sample it is the original again. Files appear whole or not at all.
 * Started again, it adds to the folder until it has that many.
 * @throws InputError where the folder cannot be made or read; OptionError for options that are not allowed.
 */
export function record(session: RecordableSession, options: RecordOptions = {}): Recording {
  const { path = "feeds" } = options;
  let have: number;
  try {
    mkdirSync(path, { recursive: true });
    have = readdirSync(path).reduce((most, name) => Math.max(most, Number(FEED.exec(name)?.[1] ?? 0)), 0);
  } catch (cause) {
    const problem = `expected a folder to write samples to, got: ${messageOf(cause)}`;
    throw new InputError({ area: "record", subject: path, problem, help: "Give another path.", cause });
  }
  const save = async (slot: number, npz: Uint8Array): Promise<void> => {
    const file = join(path, `feed-${String(slot + 1).padStart(5, "0")}.npz`);
    // Names with a leading dot are not read as data.
    const temporary = join(path, `.feed-${slot + 1}-${process.pid}.tmp`);
    await writeFile(temporary, npz);
    await rename(temporary, file);
  };
  return recordRuns(session, options, save, have);
}
