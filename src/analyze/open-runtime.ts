/**
 * @file The runtime in which a job's target is measured: in this process, or in a browser.
 */
import { type BrowserSpec, startBrowserRuntime, whyNoBrowser } from "../runtime/browser/chromium.ts";
import { createRuntime } from "../runtime/create-node.ts";
import type { Host, Runtime } from "../runtime/runtime.ts";
import { TARGETS, type TargetName } from "../runtime/targets.ts";
import type { VerifyJob } from "./job.ts";

export interface OpenedRuntime {
  readonly runtime: Runtime;
  close(): Promise<void>;
}

export interface OpenOptions {
  /** Called once where the browser, or its page, ends by itself. */
  readonly onCrash?: (how: string) => void;
  readonly signal?: AbortSignal;
}

/** Whether a browser runs the target: WebGPU has no other place, WASM runs in Node unless one is asked for. */
export function usesBrowser(target: TargetName, browser: BrowserSpec | undefined): boolean {
  return target === "web-webgpu" || (target === "web-wasm" && browser !== undefined);
}

/**
 * Why a target cannot be run here; undefined: it can. A browser that is asked for by its path must be there.
 * @throws InputError where it is not.
 */
export async function whyNotHere(target: TargetName, browser?: BrowserSpec): Promise<string | undefined> {
  return usesBrowser(target, browser) ? whyNoBrowser(browser) : TARGETS[target].notRunHere;
}

/** @throws UnsupportedError and InputError where the runtime, or the browser, is not there or does not start. */
export async function openRuntime(
  { target, browser }: Pick<VerifyJob, "target" | "browser">,
  options: OpenOptions = {},
): Promise<OpenedRuntime> {
  const { runtime } = TARGETS[target];
  if (runtime !== undefined && !usesBrowser(target, browser)) {
    return { runtime: await createRuntime(runtime), close: async () => {} };
  }
  const provider = target === "web-webgpu" ? "webgpu" : "wasm";
  const started = await startBrowserRuntime({ ...browser, provider, ...options });
  return { runtime: started, close: () => started.close() };
}

/** What a reader must know of the place before believing its figures. */
export function hostNotes(target: TargetName, host: Host | undefined, threads: number): string[] {
  if (host === undefined) return [];
  const notes: string[] = [];
  if (target === "web-webgpu" && host.gpu !== undefined) {
    const name = [host.gpu.vendor, host.gpu.architecture].filter((part) => part !== "").join(" ") || "without a name";
    const halves = host.gpu.float16 ? "" : "; no shader-f16: 16-bit floats do not run on it";
    const text = softwareOnly(target, host)
      ? `software adapter (${name}): its results count, its speed says nothing about a GPU`
      : `GPU: ${name}`;
    notes.push(`${text}${halves}.`);
  }
  if (target === "web-wasm" && threads > 1 && !host.isolated) {
    notes.push(`The page is not cross-origin isolated: one thread, not ${threads}.`);
  }
  return notes;
}

/** Whether times on it are no verdict on the target. */
export function softwareOnly(target: TargetName, host: Host | undefined): boolean {
  return target === "web-webgpu" && host?.gpu?.software === true;
}
