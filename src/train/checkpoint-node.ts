/**
 * @file Checkpoints as folders "step-00000123": the model, ready to run, the state as safetensors, and the record as JSON.
 * A folder is made under another name and renamed, so that what has the name is whole. Node only.
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { toOnnx } from "../graph/to-onnx.ts";
import { decodeSafetensors, encodeSafetensors } from "../nn/safetensors.ts";
import { makeFolder, readFileBytes, writeFiles, writeModelFile } from "../onnx/file-node.ts";
import { removeLeftovers } from "../onnx/leftovers-node.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { InputError, messageOf } from "../util/errors.ts";
import type { Checkpoint, CheckpointRecord, CheckpointStore } from "./checkpoint.ts";

const RECORD = "training.json";
const STATE = "state.safetensors";
const BEST = "best.safetensors";
const MODEL = "model.onnx";
const NAME = /^step-(\d{8,})$/;
const TEMPORARY = /^\.step-\d+\.tmp-(\d+)$/;

/**
 * Checkpoints in a folder.
 * @param keep How many: older ones are removed. Default 2.
 * @throws InputError where it cannot be made.
 */
export function folderCheckpoints(folder: string, { keep = 2 }: { readonly keep?: number } = {}): CheckpointStore {
  try {
    makeFolder(folder);
  } catch (cause) {
    throw new InputError({
      area: "train",
      subject: folder,
      problem: `expected a folder for checkpoints, and it cannot be made: ${messageOf(cause)}`,
      help: "Choose another one with --checkpoint.",
      cause,
    });
  }
  return {
    name: folder,
    async write({ record, state, best, model }) {
      const name = `step-${String(record.step).padStart(8, "0")}`;
      const path = join(folder, name);
      const partial = join(folder, `.${name}.tmp-${process.pid}`);
      removeLeftovers(folder, TEMPORARY);
      makeFolder(partial);
      try {
        const files = [
          { path: join(partial, RECORD), chunks: [new TextEncoder().encode(`${JSON.stringify(record)}\n`)] },
          { path: join(partial, STATE), chunks: [encode(state)] },
          ...(best === undefined ? [] : [{ path: join(partial, BEST), chunks: [encode(best)] }]),
        ];
        for (const file of files) writeFiles([file]);
        if (model !== undefined) writeModelFile(join(partial, MODEL), toOnnx(model()));
        // The same step again, after a return to an earlier one.
        rmSync(path, { recursive: true, force: true });
        renameSync(partial, path);
      } catch (error) {
        rmSync(partial, { recursive: true, force: true });
        throw error;
      }
      for (const old of checkpointsIn(folder).slice(0, -Math.max(keep, 1))) {
        rmSync(join(folder, old), { recursive: true, force: true });
      }
      return path;
    },
    async latest() {
      const last = checkpointsIn(folder).at(-1);
      if (last === undefined) return undefined;
      const path = join(folder, last);
      return { name: path, checkpoint: read(path) };
    },
  };
}

/** Names in the order of their steps. */
export function checkpointsIn(folder: string): readonly string[] {
  const step = (name: string): number => Number(NAME.exec(name)![1]);
  return readdirSync(folder)
    .filter((name) => NAME.test(name))
    .sort((a, b) => step(a) - step(b));
}

function read(path: string): Checkpoint {
  try {
    const record = JSON.parse(readFileSync(join(path, RECORD), "utf8")) as CheckpointRecord;
    const state = decode(join(path, STATE));
    const best = existsSync(join(path, BEST)) ? decode(join(path, BEST)) : undefined;
    return { record, state, ...(best && { best }) };
  } catch (cause) {
    throw new InputError({
      area: "train",
      subject: path,
      problem: `expected a checkpoint, got what cannot be read: ${messageOf(cause)}`,
      help: "Remove this folder to go on from the one before.",
      cause,
    });
  }
}

const encode = (tensors: ReadonlyMap<string, Tensor>): Uint8Array => encodeSafetensors(Object.fromEntries(tensors), {});

const decode = (path: string): ReadonlyMap<string, Tensor> =>
  new Map(Object.entries(decodeSafetensors(readFileBytes(path), path).tensors));
