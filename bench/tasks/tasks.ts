/** @file THE list of tasks that accuracy is measured on. */
import { detection, direction, recognition } from "./ocr.ts";
import { lenet5, mlp, mobilenet, resnet20, transformer } from "./pictures.ts";
import type { Task } from "./task.ts";

export const TASKS: readonly Task[] = [
  recognition,
  detection,
  direction,
  mlp,
  lenet5,
  resnet20,
  mobilenet,
  transformer,
];

export function findTask(name: string): Task {
  const task = TASKS.find((entry) => entry.name === name);
  if (task === undefined) {
    throw new Error(`bench: --model: expected one of ${TASKS.map((entry) => entry.name).join(", ")}, got ${name}.`);
  }
  return task;
}
