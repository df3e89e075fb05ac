/**
 * @file A `tersor quantize` that is killed leaves the old output or the new one, never a torn file; one that is
 * cancelled leaves nothing behind.
 */
import type { ChildProcess } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openModel } from "../../src/recipe/open.ts";
import { Folder } from "./models.ts";
import { inParallel, startTersor, tersor } from "./run.ts";

/** Sixteen megabytes of weights: writing takes long enough to be interrupted. */
const LARGE = `g (float[1, 2048] x) => (float[1, 2048] y)
  <float[2048, 2048] a = random(1)> { h = MatMul(x, a) y = Relu(h) }`;

const fixtures = new Folder();
beforeAll(() => void fixtures.model("large.onnx", LARGE));
afterAll(() => fixtures.remove());

const QUANTIZE = ["quantize", "../large.onnx", "-o", "out.onnx", "--scheme", "weight-int8", "--target", "node-cpu"];
const CHECKED = [...QUANTIZE, "--time", "5s", "--no-memory"];

const workspaces = (folder: string): string[] => readdirSync(folder).filter((name) => name.startsWith(".tersor-"));

/** Waits for a moment of the run, or for its end. */
async function until(child: ChildProcess, reached: () => boolean): Promise<void> {
  while (child.exitCode === null && child.signalCode === null && !reached()) await sleep(1);
}

describe("a killed quantize", () => {
  /** Milliseconds after the workspace was made: reading, quantizing, writing, and publishing fall into them. */
  const MOMENTS = [0, 10, 25, 50, 75, 100, 150, 200, 300, 400, 600];

  it.each([
    ["one file", ["--no-check"]],
    ["a data file beside it", ["--no-check", "--external-data"]],
  ])("into %s: the output is the old one, the new one, or none", async (name, flags) => {
    const key = name.replace(/\W/g, "-");
    const finished: string[] = [];
    await inParallel(MOMENTS, 2, async (delay) => {
      const folder = fixtures.at(`${key}-${delay}`);
      fixtures.put(`${key}-${delay}/out.onnx`, "old");
      const { child, finished: end } = startTersor([...QUANTIZE, ...flags], folder);
      await until(child, () => workspaces(folder).length > 0);
      await sleep(delay);
      child.kill("SIGKILL");
      const { status } = await end;
      if (status === 0) finished.push(name);
      const path = `${folder}/out.onnx`;
      // A new output is whole: it is read with its data, which is as long as it should be.
      if (existsSync(path) && readFileSync(path, "latin1") !== "old") {
        expect(
          openModel(path)
            .model()
            .graph.outputs.map((value) => value.name),
        ).toEqual(["y"]);
      }
    });
    // Some were killed at work, or nothing was tried.
    expect(finished.length).toBeLessThan(MOMENTS.length);
  });

  it("while it measures leaves the old output, and its workspace goes with the next run", async () => {
    const folder = fixtures.at("measuring");
    fixtures.put("measuring/out.onnx", "old");
    const { child, finished } = startTersor(CHECKED, folder);
    await until(child, () => workspaces(folder).length > 0);
    await sleep(700);
    child.kill("SIGKILL");
    expect((await finished).status).toBeNull();
    expect(readFileSync(`${folder}/out.onnx`, "utf8")).toBe("old");
    expect(workspaces(folder)).toHaveLength(1);
    expect((await tersor([...QUANTIZE, "--no-check"], folder)).status).toBe(0);
    expect(readdirSync(folder)).toEqual(["out.onnx"]);
  });
});

describe("a cancelled quantize", () => {
  it.each(["SIGINT", "SIGTERM"] as const)("by %s exits with 130 and leaves nothing behind", async (signal) => {
    // As soon as it works, and while it measures.
    await inParallel([0, 700], 2, async (delay) => {
      const name = `${signal}-${delay}`;
      const folder = fixtures.at(name);
      fixtures.put(`${name}/.keep`, "");
      if (delay > 0) fixtures.put(`${name}/out.onnx`, "old");
      const { child, finished } = startTersor([...CHECKED, "--json"], folder);
      await until(child, () => workspaces(folder).length > 0);
      await sleep(delay);
      child.kill(signal);
      const { status, stdout, stderr } = await finished;
      expect([status, stderr]).toEqual([130, "tersor: cancelled; nothing was written\n"]);
      expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { name: "Cancelled" } });
      expect(readdirSync(folder)).toEqual(delay > 0 ? [".keep", "out.onnx"] : [".keep"]);
      if (delay > 0) expect(readFileSync(`${folder}/out.onnx`, "utf8")).toBe("old");
    });
  });

  it("by a signal that comes twice, as through npm, removes what was begun", async () => {
    const folder = fixtures.at("twice");
    fixtures.put("twice/.keep", "");
    const { child, finished } = startTersor(CHECKED, folder);
    await until(child, () => workspaces(folder).length > 0);
    child.kill("SIGINT");
    await sleep(20);
    child.kill("SIGINT");
    const { status, signal } = await finished;
    // Where the first one was done already, Node has taken its handlers away: a shell says 130 to both.
    expect([status, signal]).toEqual(signal === null ? [130, null] : [null, "SIGINT"]);
    expect(readdirSync(folder)).toEqual([".keep"]);
  });
});
