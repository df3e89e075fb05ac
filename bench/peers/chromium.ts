/**
 * @file Runs bench/peers/js/page-worker.js in a headless Chromium of its own for each measurement, over a server of this process whose page is
 * cross-origin isolated: WASM may have threads there.
 */
import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, resolve as resolvePath, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { findOrt, moduleFile, ortFile, type ServedFile } from "../../src/runtime/browser/files.ts";
import { findBrowser } from "../../src/runtime/browser/find.ts";
import { type JsSpec, type Measured, sentence, timeLimit, tooSlow } from "./js-spec.ts";
import { processorTimeOf } from "./process-tree.ts";

const JS = fileURLToPath(new URL("./js/", import.meta.url));

/** No updates, no accounts, and a graphics card in software: SwiftShader for WebGL and WebGPU alike. */
const FLAGS = [
  "--no-sandbox",
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--use-angle=swiftshader",
  "--enable-unsafe-swiftshader",
  // A page that nobody looks at has its main thread, but not its workers, at a lower priority: unfair to who computes in the former.
  "--disable-renderer-backgrounding",
  "--disable-backgrounding-occluded-windows",
  "--disable-background-timer-throttling",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
] as const;

const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cache-Control": "no-store",
} as const;

const TYPES: Readonly<Record<string, string>> = { ".js": "text/javascript", ".wasm": "application/wasm" };

interface Page {
  readonly program: Uint8Array | undefined;
  /** Of the browser, once it is started. */
  pid: number | undefined;
}

async function served(path: string, { program, pid }: Page): Promise<ServedFile | undefined> {
  if (path === "/") return { type: "text/html", body: "<!doctype html><title>bench</title>" };
  if (path === "/program" && program !== undefined) return { type: "application/octet-stream", body: program };
  if (path === "/processor-time") {
    return {
      type: "application/json",
      body: JSON.stringify({ ms: pid === undefined ? undefined : processorTimeOf(pid) }),
    };
  }
  if (path.startsWith("/tersor/")) return moduleFile(path.slice("/tersor/".length));
  if (path.startsWith("/ort/")) return ortFile(findOrt(), path.slice("/ort/".length));
  const file = resolvePath(JS, path.slice("/js/".length));
  const type = TYPES[extname(file)];
  if (!path.startsWith("/js/") || !file.startsWith(resolvePath(JS) + sep) || type === undefined || !existsSync(file))
    return;
  return { type, body: readFileSync(file) };
}

function startServer(page: Page): Promise<Server> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    served(pathname, page).then(
      (file) => {
        if (file === undefined) response.writeHead(404).end();
        else response.writeHead(200, { ...HEADERS, "Content-Type": file.type }).end(file.body);
      },
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  return new Promise((done) => server.listen(0, "127.0.0.1", () => done(server)));
}

/**
 * One measurement in a fresh browser.
 * @param program What Tersor's page fetches: a frame.
 * @returns a sentence where it failed.
 */
export async function runInChromium(spec: JsSpec, program?: Uint8Array): Promise<Measured | string> {
  const served: Page = { program, pid: undefined };
  const server = await startServer(served);
  const started = await chromium.launchServer({ executablePath: findBrowser(), args: [...FLAGS] });
  served.pid = started.process().pid;
  const browser = await chromium.connect(started.wsEndpoint());
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(tooSlow(spec)), 1000 * timeLimit(spec));
  });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const run = page
      .evaluate((given) => {
        const worker = new Worker("/js/page-worker.js", { type: "module" });
        return new Promise<Measured>((resolve, reject) => {
          worker.onmessage = ({ data }) =>
            data.error === undefined ? resolve(data.result) : reject(new Error(data.error));
          worker.onerror = ({ message }) => reject(new Error(message));
          worker.postMessage(given);
        });
      }, spec)
      .catch((error: unknown) => sentence(error instanceof Error ? error.message : String(error)));
    return await Promise.race([run, late]);
  } finally {
    clearTimeout(timer);
    await browser.close();
    await started.kill();
    server.closeAllConnections();
    server.close();
  }
}
