/** @file Samples of tasks as .npz files, which Tersor's loaders and its peers read. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Split } from "../../examples/ocr/phrases.ts";
import { encodeNpz } from "../../src/data/npz.ts";
import { SEED, type Task } from "./task.ts";

/** Where files of benches go; ignored by git. */
export const WORK: string = fileURLToPath(new URL("../../.bench/tasks", import.meta.url));

/** Writes the first `count` samples of a split as 0.npz, 1.npz, … unless they are there, and says where. */
export function writeSamples(task: Task, split: Split, count: number): string {
  const folder = join(WORK, task.name, `${split}-${SEED}-${count}`);
  const done = join(folder, ".done");
  if (!existsSync(done)) {
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (let i = 0; i < count; i++) {
      writeFileSync(join(folder, `${i}.npz`), encodeNpz({ ...task.sample(split, i).inputs }));
    }
    writeFileSync(done, "");
  }
  return folder;
}
