/**
 * @file The worker that trains: it draws or loads the data, runs the same scripts as Node, and tells the page how it goes.
 * Trainer and ONNX Runtime share this thread; the trainer leaves room for the page's messages between its steps.
 */
import { createWebRuntime, databaseCheckpoints } from "../../../src/web.ts";
import { databaseOf, type Order, type ToTrainer } from "./messages.ts";
import { type Context, runDirection, runLenet, type Tell } from "./tasks.ts";

const tell: Tell = (message) => postMessage(message);

let cancel: AbortController | undefined;

async function train(order: Order): Promise<void> {
  cancel = new AbortController();
  const { signal } = cancel;
  const store = databaseCheckpoints(databaseOf(order.task));
  try {
    tell({ kind: "doing", text: "Loading onnxruntime-web" });
    const runtime = await createWebRuntime();
    const context: Context = {
      runtime,
      log: (record) => tell({ kind: "log", record }),
      checkpoints: store,
      resume: true,
      signal,
    };
    if (order.task === "lenet") await runLenet(order.settings, context, tell);
    else await runDirection(order.settings, context, tell);
    await store.clear();
  } catch (error) {
    if (signal.aborted) tell({ kind: "cancelled" });
    else tell({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
  }
}

addEventListener("message", ({ data }: MessageEvent<ToTrainer>) => {
  if (data.kind === "train") void train(data);
  else cancel?.abort();
});
