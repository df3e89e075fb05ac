/**
 * @file Times the training step of a framework, or of Tersor. The same code in Node and in a browser.
 */

/** Steps that are not timed: kernels are compiled in them. */
const WARM_UP = 3;

/** Timed steps at least, unless there is no time for them. */
const LEAST = 2;

/**
 * Trains for about `seconds`, and for at most `limit` seconds and one step, warm-up included.
 * @param {() => Promise<number>} step trains once and resolves with the loss.
 * @param {{ seconds: number, limit: number }} time
 * @param {() => Promise<number | undefined>} processorTime milliseconds so far of every process that takes part
 * @returns steps per second (one over the median step), milliseconds of processor time per step (mean), and the losses that tell whether it trains.
 * @throws Error where a step takes so long that there is none behind the first, in which kernels are compiled.
 */
export async function measure(step, { seconds, limit }, processorTime) {
  const start = performance.now();
  const over = (allowed) => performance.now() - start > 1000 * allowed;
  const losses = [await step()];
  // A net of which one step takes seconds is warm enough after it.
  while (losses.length < WARM_UP && !over(seconds / 4)) losses.push(await step());
  const times = [];
  const spent = await processorTime();
  const begin = performance.now();
  while (!over(limit) && (times.length < LEAST || performance.now() - begin < 1000 * seconds)) {
    const before = performance.now();
    losses.push(await step());
    times.push(performance.now() - before);
  }
  if (times.length === 0) throw new Error(`the first step took ${((begin - start) / 1000).toFixed(0)} s`);
  const middle = times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)];
  const processorMs = spent === undefined ? undefined : ((await processorTime()) - spent) / times.length;
  return { stepsPerSecond: 1000 / middle, processorMs, steps: times.length, losses: [losses[0], losses.at(-1)] };
}
