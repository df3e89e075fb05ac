/**
 * @file onnxruntime-web in a real browser on this machine: a headless Chrome, Chromium or Edge, driven by
 * playwright-core, which is an optional package.
 */
import type { Browser } from "playwright-core";
import { InputError, messageOf, UnsupportedError } from "../../util/errors.ts";
import type { WebProvider } from "../onnxruntime-web.ts";
import type { Runtime } from "../runtime.ts";
import type { WorkerRuntime } from "../worker-client.ts";
import type { Device } from "./device.ts";
import { findBrowser } from "./find.ts";
import { startPageServer } from "./server.ts";

/** Which browser, and which onnxruntime-web in it. */
export interface BrowserSpec {
  /** The program, or "auto". Default: CHROME_PATH, then the first in the usual places. */
  readonly path?: string;
  /** A folder of another onnxruntime-web. Default: the installed package. */
  readonly ortWeb?: string;
}

export interface BrowserOptions extends BrowserSpec {
  readonly provider: WebProvider;
  /** Called once where the page or the browser ends by itself; `how` is a clause. */
  readonly onCrash?: (how: string) => void;
  readonly signal?: AbortSignal;
}

/** Nothing of the outside world: no updates, no accounts. Without the first flag there is no WebGPU on many a Linux. */
const FLAGS = [
  "--enable-unsafe-webgpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
] as const;

/** Chromium's own software adapter, where there is no GPU: whether a model runs is shown, its speed is not. */
const SOFTWARE_FLAG = "--use-webgpu-adapter=swiftshader";

/** Milliseconds for starting the browser, and for the page in it. */
const START_MS = 45_000;

/** A clause that says why no browser can be driven here; undefined: one can. @throws InputError for a wrong path. */
export async function whyNoBrowser(spec: BrowserSpec = {}): Promise<string | undefined> {
  try {
    findBrowser(spec.path);
    await importPlaywright();
    return undefined;
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    return error.message.replace(/^browser: [^:]*: /, "");
  }
}

/**
 * Starts a browser and a runtime in it. Closing the runtime closes the browser.
 * @throws InputError where the given browser does not start; UnsupportedError where there is none, or no playwright-core.
 */
export async function startBrowserRuntime(options: BrowserOptions): Promise<WorkerRuntime> {
  const path = findBrowser(options.path);
  const playwright = await importPlaywright();
  const server = await startPageServer({ ortWeb: options.ortWeb });
  let closing = false;
  let browser: Browser | undefined;
  const close = async (): Promise<void> => {
    closing = true;
    options.signal?.removeEventListener("abort", abort);
    await browser?.close().catch(() => {});
    await server.close();
  };
  const abort = (): void => void close();
  const open = async (flags: readonly string[]): Promise<Device> => {
    options.signal?.throwIfAborted();
    const started = await playwright.chromium
      .launch({ executablePath: path, args: [...FLAGS, ...flags], timeout: START_MS })
      .catch((error: unknown) => Promise.reject(notStarted(path, error)));
    const gone = new AbortController();
    let device: Device | undefined;
    const lose = (how: string) => (): void => {
      if (closing) return;
      gone.abort(notStarted(path, new Error(how)));
      device?.lose(how);
      options.onCrash?.(how);
    };
    browser = started;
    started.on("disconnected", lose("the browser ended"));
    const page = await started.newPage();
    page.on("crash", lose("the page in the browser crashed"));
    const failures: string[] = [];
    page.on("pageerror", (error) => failures.push(error.message));
    await page.goto(server.url("127.0.0.1"), { timeout: START_MS });
    const late = setTimeout(() => {
      gone.abort(notStarted(path, new Error(failures[0] ?? `its page did not start in ${START_MS / 1000} s`)));
    }, START_MS);
    device = await server.nextDevice(gone.signal).finally(() => clearTimeout(late));
    return device;
  };

  options.signal?.addEventListener("abort", abort, { once: true });
  try {
    let device = await open([]);
    if (options.provider === "webgpu" && device.host.gpu === undefined) {
      closing = true;
      await browser!.close();
      closing = false;
      device = await open([SOFTWARE_FLAG]);
    }
    if (options.provider === "webgpu" && device.host.gpu === undefined) {
      const problem = "it has no WebGPU, not even in software";
      throw new UnsupportedError({ area: "browser", subject: path, problem, help: "A newer version may have it." });
    }
    const runtime = await device.start(options.provider);
    const name = `${nameOfPath(path)} ${browser!.version()}, headless`;
    return { ...runtime, host: { ...(runtime as Runtime).host!, name }, close };
  } catch (error) {
    await close();
    options.signal?.throwIfAborted();
    throw error;
  }
}

function nameOfPath(path: string): string {
  if (/edge/i.test(path)) return "Edge";
  return /chromium/i.test(path) ? "Chromium" : "Chrome";
}

function notStarted(path: string, cause: unknown): InputError {
  // Playwright puts the browser's whole log behind it.
  const line = messageOf(cause).split("\n")[0]!;
  const problem = `expected a browser that starts, got: ${line.slice(0, 200)}`;
  return new InputError({ area: "browser", subject: path, problem, help: "Does it start by hand?", cause });
}

async function importPlaywright(): Promise<typeof import("playwright-core")> {
  try {
    return await import("playwright-core");
  } catch (cause) {
    const problem = "expected the package that drives a browser, found none";
    const help = "Install it: npm install playwright-core";
    throw new UnsupportedError({ area: "browser", subject: "playwright-core", problem, help, cause });
  }
}
