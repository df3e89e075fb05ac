/**
 * @file The command in a real browser: verdicts, a device that opens the URL, browsers that end, and cancelling.
 */
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startBrowserRuntime } from "../../src/runtime/browser/chromium.ts";
import { findBrowser } from "../../src/runtime/browser/find.ts";
import { Folder, MLP } from "../cli/models.ts";
import { startTersor, tersor } from "../cli/run.ts";
import { modelBytes } from "../runtime/models.ts";
import { NO_BROWSER } from "./browser.ts";

/** Processes below one, from its children on. */
function descendants(parent: number): number[] {
  const rows = execFileSync("ps", ["-eo", "pid=,ppid="], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  const below = (pid: number): number[] =>
    rows.filter(([, ppid]) => ppid === pid).flatMap(([child]) => [child!, ...below(child!)]);
  return below(parent);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Waits, for a minute at most. */
async function until<T>(value: () => T | undefined | false): Promise<T> {
  const start = performance.now();
  for (;;) {
    const found = value();
    if (found !== undefined && found !== false) return found;
    if (performance.now() - start > 60_000) throw new Error("it did not come");
    await sleep(20);
  }
}

const QUICK = ["--time", "50ms", "--samples", "2"];

describe.skipIf(NO_BROWSER !== undefined)("in a browser", () => {
  const fixtures = new Folder();
  beforeAll(async () => {
    fixtures.model("mlp.onnx", MLP);
    const args = ["quantize", "mlp.onnx", "-o", "small.onnx", "--scheme", "weight-int8", "--no-check"];
    expect((await tersor(args, fixtures.at("."))).status).toBe(0);
  }, 60_000);
  afterAll(() => fixtures.remove());

  it("verify compares, times and places on both targets, and says where it was", async () => {
    const args = ["verify", "mlp.onnx", "small.onnx", "--target", "web-wasm,web-webgpu", "--browser", "auto", "--json"];
    const { stdout, stderr } = await tersor([...args, "--threads", "2", ...QUICK], fixtures.at("."));
    expect(stderr).toBe("");
    const { targets } = JSON.parse(stdout);
    expect(targets.map(({ target }: { target: string }) => target)).toEqual(["web-wasm", "web-webgpu"]);
    for (const { target, runtime, host, threads, files } of targets) {
      expect(runtime).toMatch(/^onnxruntime-web \d+\.\d+\.\d+ in (Chromium|Chrome|Edge) \d+.*, headless$/);
      expect(host).toMatchObject({ secure: true, isolated: true });
      expect(threads).toBe(2);
      const [original, small] = files;
      expect(original.error ?? small.error).toBeUndefined();
      // Weights in 8 bits, per channel: above 30 dB on a model like this.
      expect(small.outputs[0].sqnr, target).toBeGreaterThan(30);
      expect(small.latency.ratio.median).toBeGreaterThan(0);
      expect(small.placement?.nodes > 0).toBe(target === "web-webgpu");
      const real = target === "web-wasm" || !host.gpu.software;
      expect(small.latency.verdict !== undefined, `${target}: a verdict on speed`).toBe(real);
    }
    const gpu = targets[1];
    expect(gpu.notes[0]).toMatch(gpu.host.gpu.software ? /^software adapter \(/ : /^GPU: /);
  });

  it("verify --serve takes the verdict of a device that opens the URL, after one that went away", async () => {
    const args = ["verify", "mlp.onnx", "small.onnx", "--serve", "--host", "127.0.0.1", "--target", "web-wasm"];
    const { child, finished } = startTersor([...args, "--json", ...QUICK], fixtures.at("."));
    let said = "";
    child.stderr!.on("data", (text: string) => {
      said += text;
    });
    const url = await until(() => /http:\S+/.exec(said)?.[0]);
    const browser = await chromium.launch({ executablePath: findBrowser() });
    try {
      const first = await browser.newPage();
      await first.goto(url);
      await until(() => said.includes("has opened it"));
      await first.close({ runBeforeUnload: true });
      await until(() => said.includes("went away before it was done"));
      const page = await browser.newPage();
      await page.goto(url);
      await page.waitForFunction(() => ["ok", "failed"].includes(document.body.dataset["state"]!));
      const [title, text] = [await page.textContent("#title"), await page.textContent("#lines")];
      const { stdout, status } = await finished;
      const { devices, ok } = JSON.parse(stdout);
      // Whether it is faster is not for a test to say; the two ends agree.
      expect([status, title]).toEqual(ok ? [0, "OK on this device"] : [1, "Not OK"]);
      expect(text).toMatch(/web-wasm: SQNR \d+\.\d dB.*; \S+ (µs|ms|s) → \S+ (µs|ms|s), /);
      expect(devices).toHaveLength(1);
      expect(devices[0].host).toMatchObject({ secure: true, isolated: true });
      expect(devices[0].targets[0].files[1].outputs[0].sqnr).toBeGreaterThan(30);
    } finally {
      child.kill();
      await browser.close();
    }
  });

  it("a cancelled verify closes its browser", async () => {
    const args = ["verify", "mlp.onnx", "--target", "web-wasm", "--browser", "auto", "--time", "60s"];
    const { child, finished } = startTersor(args, fixtures.at("."));
    // The command's child, the browser, and the browser's own.
    await until(() => descendants(child.pid!).length > 4);
    const started = descendants(child.pid!);
    child.kill("SIGINT");
    expect((await finished).status).toBe(130);
    await until(() => !started.some(isAlive));
  });

  it("a browser that ends fails what is under way, and says so", async () => {
    let crash: string | undefined;
    const before = descendants(process.pid);
    const runtime = await startBrowserRuntime({
      provider: "wasm",
      onCrash: (how) => {
        crash = how;
      },
    });
    const session = await runtime.load({ bytes: modelBytes("g (float[N] x) => (float[N] y) { y = Neg(x) }") });
    const failed = expect(session.run({})).rejects.toThrow(/expected "x", got none/);
    await failed;
    // The first of them takes the others along.
    for (const pid of descendants(process.pid).filter((pid) => !before.includes(pid) && isAlive(pid))) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Gone in between.
      }
    }
    await until(() => crash);
    await expect(session.release()).rejects.toThrow(/expected an answer, but the (browser ended|page .*crashed)/);
    await runtime.close();
  });

  it("a program that is no browser is refused", async () => {
    await expect(startBrowserRuntime({ provider: "wasm", path: process.execPath })).rejects.toThrow(
      /expected a browser that starts/,
    );
  });
});
