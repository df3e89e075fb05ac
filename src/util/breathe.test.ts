/** @file Tests of breathe.ts: what waits gets its turn in a loop that awaits nothing real. */
import { expect, it } from "vitest";
import { createBreath } from "./breathe.ts";

/** Turns of a loop until a signal is aborted by a timer; 1e6 at most. */
async function turnsUntilAborted(breathe: () => Promise<void>): Promise<number> {
  const stop = new AbortController();
  setTimeout(() => stop.abort());
  let turns = 0;
  while (!stop.signal.aborted && turns < 1e6) {
    await breathe();
    turns++;
  }
  return turns;
}

it("lets a timer through, which awaiting alone does not", async () => {
  expect(await turnsUntilAborted(async () => {})).toBe(1e6);
  expect(await turnsUntilAborted(createBreath(0))).toBeLessThan(1e5);
});

it("takes messages where there is no setImmediate, as in browsers", async () => {
  const { setImmediate } = globalThis;
  Object.assign(globalThis, { setImmediate: undefined });
  try {
    expect(await turnsUntilAborted(createBreath(0))).toBeLessThan(1e5);
  } finally {
    Object.assign(globalThis, { setImmediate });
  }
});
