/**
 * @file What one measurement of bench/peers/js is asked for, and what it answers; the same in Node and in a browser.
 */

export interface JsSpec {
  readonly library: "tfjs" | "jax" | "tersor";
  readonly backend: string;
  readonly net: string;
  readonly threads: number;
  readonly seconds: number;
  /** Seconds after which no further step is begun. */
  readonly limit: number;
}

export interface Measured {
  readonly stepsPerSecond: number;
  /** Milliseconds of processor time per step, all threads together; undefined where the system does not tell. */
  readonly processorMs?: number;
  readonly steps: number;
  /** Of the first and the last step. */
  readonly losses: readonly [number, number];
  readonly parameters: number;
  readonly version?: string;
}

/** Seconds for a process or browser and its framework to start, and for a step that is under way at the limit. */
const GRACE = 10;

export const timeLimit = ({ limit }: JsSpec): number => limit + GRACE;

export const tooSlow = (spec: JsSpec): string => `not two steps in ${timeLimit(spec)} s`;

/** Why a measurement failed: the error's first line, without what was put before it on the way. */
export function sentence(error: string): string {
  const line = error.split("\n")[0]!.replace(/^(ended with status \d+|page\.evaluate): (Error: )?/, "");
  const [, kernel] = /Kernel '(\w+)' not registered/.exec(line) ?? [];
  return kernel === undefined ? line.slice(0, 200) : `has no kernel ${kernel}, which the gradient needs`;
}

/** Steps per second, or a sentence where the net is not the same one, or does not train. */
export function checkedSpeed(measured: Measured | string, parameters: number): number | string {
  if (typeof measured === "string") return measured;
  if (measured.parameters !== parameters) {
    return `not the same net: ${measured.parameters} parameters, expected ${parameters}`;
  }
  const [first, last] = measured.losses;
  // Ten classes, and first values that tell none apart.
  if (!(Math.abs(first - Math.log(10)) < 1)) return `not the same net: its first loss is ${first}`;
  if (!(last < first)) return `does not train: a loss of ${first}, then of ${last}`;
  return measured.stepsPerSecond;
}
