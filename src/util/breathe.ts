/**
 * @file Room for others in a thread that computes for long: messages, timers, the abort of a signal. Awaiting a promise
 * that is fulfilled already gives none: onnxruntime-web's runs return before any of these get their turn.
 */

/** Milliseconds without a breath: short enough for a button to be felt. */
const LONGEST = 40;

/** A function that lets tasks that wait run first, where it is long since it last did. */
export function createBreath(longest: number = LONGEST): () => Promise<void> {
  let last = performance.now();
  return async () => {
    if (performance.now() - last < longest) return;
    await nextTask();
    last = performance.now();
  };
}

/** Timers of 0 ms take 4 in browsers once they are nested; messages do not. */
function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === "function") return void setImmediate(resolve);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
