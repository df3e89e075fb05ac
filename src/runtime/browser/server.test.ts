/** @file Tests of server.ts and device.ts without a browser: a page made of `fetch`, in this process. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { WorkerRuntime } from "../worker-client.ts";
import type { Reply, Request } from "../worker-messages.ts";
import type { Device } from "./device.ts";
import { ENDING } from "./files.ts";
import { decodeFrame, encodeFrame } from "./frame.ts";
import { nameOfAgent } from "./host.ts";
import { type PageServer, startPageServer } from "./server.ts";

let server: PageServer;
let base: string;
beforeAll(async () => {
  server = await startPageServer();
  base = server.url("127.0.0.1");
});
afterAll(() => server.close());

const HOST = { name: "Test 1", userAgent: "test", cores: 4, secure: true, isolated: true };

/** A page says hello and listens; `heard` gets its events. */
async function openPage(): Promise<{ device: Device; heard: unknown[]; id: number; stop(): void }> {
  const next = server.nextDevice();
  const hello = await fetch(`${base}hello`, { method: "POST", body: JSON.stringify(HOST) });
  const { device: id } = (await hello.json()) as { device: number };
  const heard: unknown[] = [];
  const stop = new AbortController();
  const events = await fetch(`${base}events/${id}`, { signal: stop.signal });
  const read = async (): Promise<void> => {
    for await (const chunk of events.body!.pipeThrough(new TextDecoderStream())) {
      for (const [, data] of chunk.matchAll(/^data: (.*)$/gm)) heard.push(JSON.parse(data!));
    }
  };
  read().catch(() => {});
  return { device: await next, heard, id, stop: () => stop.abort() };
}

async function until<T>(value: () => T | undefined): Promise<T> {
  for (;;) {
    const found = value();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const post = (path: string, body?: unknown): Promise<Response> =>
  fetch(`${base}${path}`, { method: "POST", body: body === undefined ? undefined : encodeFrame(body) });

async function take(worker: number, reply?: Reply): Promise<Request> {
  const response = await post(`next/${worker}`, reply);
  return decodeFrame(new Uint8Array(await response.arrayBuffer())) as Request;
}

describe("the server", () => {
  it("gives a page that is cross-origin isolated, its modules without types, and onnxruntime-web", async () => {
    const page = await fetch(base);
    expect(page.headers.get("cross-origin-opener-policy")).toBe("same-origin");
    expect(page.headers.get("cross-origin-embedder-policy")).toBe("require-corp");
    const script = /<script type="module" src="([^"]+)"/.exec(await page.text())![1]!;
    const module = await fetch(base + script);
    expect(module.headers.get("content-type")).toMatch(/^text\/javascript/);
    const text = await module.text();
    expect(text).toContain(`from "./messages${ENDING}"`);
    expect(text).not.toMatch(/import type|: Promise<void>/);
    const wasm = await fetch(`${base}ort/ort-wasm-simd-threaded.wasm`);
    expect(wasm.headers.get("content-type")).toBe("application/wasm");
    expect((await wasm.arrayBuffer()).byteLength).toBeGreaterThan(1e6);
  });

  it.each([
    "../package.json",
    "ort/../package.json",
    "ort/..%2fpackage.json",
    "tersor/../package.json",
    "nothing",
    "tersor/util",
  ])("gives nothing else: %s", async (path) => {
    // `fetch` would take the dots away before sending them.
    const { request } = await import("node:http");
    const { port, pathname } = new URL(base);
    const status = await new Promise((resolve) => {
      request({ port, host: "127.0.0.1", path: pathname + path }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).end();
    });
    expect(status).toBe(404);
  });

  it("gives nothing to who does not know the key", async () => {
    const { origin } = new URL(base);
    for (const path of ["/", "/ort/ort.wasm.min.mjs", "/wrongkey/", "/hello"]) {
      expect((await fetch(origin + path)).status, path).toBe(404);
    }
  });

  it("refuses a port that is taken", async () => {
    await expect(startPageServer({ port: server.port })).rejects.toThrow(/expected a port that is free.*EADDRINUSE/);
  });
});

describe("a page", () => {
  /** A runtime that is started, by a worker that this test plays. */
  async function start(): Promise<{ runtime: WorkerRuntime; worker: number } & Awaited<ReturnType<typeof openPage>>> {
    const page = await openPage();
    const starting = page.device.start("wasm");
    const { worker } = (await until(() => page.heard[0])) as { worker: number };
    expect(page.heard[0]).toMatchObject({ kind: "start", provider: "wasm" });
    const request = await take(worker);
    expect(request).toMatchObject({ id: 0, kind: "start" });
    void take(worker, { id: 0, result: { version: "1.2.3", host: HOST, places: false } }).catch(() => {});
    const runtime = await starting;
    return { ...page, runtime, worker };
  }

  it("carries requests and answers, again where a connection broke", async () => {
    const { runtime, worker, stop } = await start();
    expect(runtime).toMatchObject({ name: "onnxruntime-web", version: "1.2.3", host: HOST });
    const loading = runtime.load({ bytes: Uint8Array.of(1, 2, 3) });
    // The one that the played worker left waiting has it; it was lost on the way: asked again, it comes again.
    const again = await take(worker);
    expect(again).toMatchObject({ kind: "load", model: { bytes: Uint8Array.of(1, 2, 3) } });
    const reply = { id: again.id, result: { session: 0, inputs: [], outputs: [] } };
    const first = take(worker, reply);
    const session = await loading;
    expect(session.inputs).toEqual([]);
    // An answer that comes twice is taken once.
    void first.catch(() => {});
    const second = take(worker, reply);
    const released = session.release();
    const request = await second;
    expect(request.kind).toBe("release");
    void take(worker, { id: request.id, result: undefined }).catch(() => {});
    await released;
    await runtime.close();
    expect((await post(`next/${worker}`)).status).toBe(410);
    stop();
  });

  it("that is left fails what is under way at once", async () => {
    const { runtime, id, device, stop } = await start();
    const loading = runtime.load({ bytes: new Uint8Array(4) });
    const failed = expect(loading).rejects.toThrow(/in Test 1: expected an answer, but the page was closed/);
    await post(`left/${id}`);
    await failed;
    expect(device.lost).toBe("the page was closed");
    await expect(device.start("wasm")).rejects.toThrow(/the page was closed/);
    stop();
  });

  it("whose worker fails says why", async () => {
    const { runtime, worker, stop } = await start();
    const loading = runtime.load({ bytes: new Uint8Array(4) });
    const failed = expect(loading).rejects.toThrow(/the page's worker failed: out of memory/);
    await fetch(`${base}failed/${worker}`, { method: "POST", body: "out of memory" });
    await failed;
    stop();
  });
});

it("names browsers by their user agents", () => {
  const safari =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1";
  expect(nameOfAgent(safari)).toBe("Safari 18.1, iPhone, CPU iPhone OS 18_1 like Mac OS X");
  const edge =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.0.0";
  expect(nameOfAgent(edge)).toBe("Edge 141, Windows NT 10.0, Win64, x64");
  expect(nameOfAgent("Mozilla/5.0 (Android 14; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0")).toMatch(/^Firefox 132,/);
});
