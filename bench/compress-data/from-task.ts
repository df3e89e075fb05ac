/** @file A task of bench/tasks as what a data module of the command exports. */
import type { Sample } from "../../src/step/data.ts";
import type { Task } from "../tasks/task.ts";

interface Splits {
  calibration(): Generator<Sample>;
  evaluation(): Generator<Sample>;
}

/**
 * @param labelled the task's labels are what the command's metrics take.
 * @param calibration samples of the first split; default: the task's.
 */
export function fromTask(task: Task, labelled: boolean, calibration: number = task.calibration): Splits {
  function* samples(split: "calibration" | "evaluation", count: number): Generator<Sample> {
    for (let i = 0; i < count; i++) {
      const { inputs, label } = task.sample(split, i);
      yield labelled ? { inputs, label } : { inputs };
    }
  }
  return {
    calibration: () => samples("calibration", calibration),
    evaluation: () => samples("evaluation", task.evaluation),
  };
}
