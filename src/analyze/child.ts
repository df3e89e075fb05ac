/**
 * @file The process that verifies for {@link verifyFiles}: takes one request, answers, and is ended by its parent.
 */
import { readFileSync } from "node:fs";
import { createRuntime } from "../runtime/create-node.ts";
import type { Tensors } from "../runtime/runtime.ts";
import { Tensor } from "../tensor/tensor.ts";
import { messageOf, TersorError } from "../util/errors.ts";
import type { PlainFeed, Reply, Request } from "./isolated.ts";
import { measureTarget } from "./measure-target.ts";

process.on("message", (request: Request) => {
  answer(request).then(send, (error: unknown) => {
    send({
      kind: "failed",
      name: error instanceof Error ? error.name : "Error",
      message: messageOf(error),
      code: error instanceof TersorError ? error.code : undefined,
      stack: error instanceof Error ? error.stack : undefined,
    });
  });
});
// A parent that was killed leaves nobody to answer to.
process.on("disconnect", () => process.exit(0));

/** A browser that ends by itself is what a runtime that crashes is in this process. */
function crash(how: string): void {
  crashed = true;
  process.stderr.write(`${how}\n`, () => process.exit(CRASHED));
}

const CRASHED = 70;
let crashed = false;

function send(reply: Reply): void {
  // Whatever failed with it is not the answer.
  if (!crashed) process.send?.(reply);
}

async function answer(request: Request): Promise<Reply> {
  if (request.kind === "memory") return { kind: "memory", bytes: await peakMemory(request) };
  const progress = (task: string, done: number, total?: number): void => send({ kind: "progress", task, done, total });
  let feeds: readonly PlainFeed[] = [];
  const onFeeds = (tensors: Tensors): void => {
    feeds = toPlain(tensors);
  };
  const result = await measureTarget(request.job, progress, undefined, { onCrash: crash, onFeeds });
  return { kind: "measured", result, feeds };
}

function toPlain(tensors: Tensors): PlainFeed[] {
  return Object.entries(tensors).map(([name, tensor]) => {
    const { dtype, dims, strings } = tensor;
    return strings === undefined ? { name, dtype, dims, bytes: tensor.bytes() } : { name, dims, strings };
  });
}

function fromPlain(feeds: readonly PlainFeed[]): Tensors {
  return Object.fromEntries(
    feeds.map((feed) => [
      feed.name,
      "strings" in feed
        ? Tensor.strings(feed.dims, feed.strings)
        : new Tensor(feed.dtype, feed.dims, { byteLength: feed.bytes.byteLength, bytes: () => feed.bytes }),
    ]),
  );
}

/**
 * The process's largest resident size in bytes. Linux: VmHWM, for the kernel's maxRSS of a child starts with its parent's.
 */
function residentPeak(): number {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    if (kilobytes !== undefined) return Number(kilobytes) * 1024;
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS * 1024;
}

/** The process's largest resident size in bytes after loading the runtime and, if there is one, running a file once. */
async function peakMemory({ job, file, feeds }: Extract<Request, { kind: "memory" }>): Promise<number> {
  const runtime = await createRuntime(job.target === "web-wasm" ? "onnxruntime-web" : "onnxruntime-node");
  if (file !== undefined) {
    const session = await runtime.load({ path: file.path }, { threads: job.threads, config: file.config });
    await session.run(fromPlain(feeds));
  }
  return residentPeak();
}
