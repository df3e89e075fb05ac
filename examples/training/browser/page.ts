/**
 * @file The page: two tabs with a training each. It only shows: what is computed is computed in workers.
 */
import type { Field } from "./panel.ts";
import { startPanel } from "./panel.ts";

const cores = navigator.hardwareConcurrency ?? 1;
const element = (id: string): HTMLElement => document.getElementById(id)!;

element("device").textContent = crossOriginIsolated
  ? `WASM with up to ${cores} threads.`
  : "WASM with one thread: this page is not cross-origin isolated.";

const threads: Field = { name: "threads", label: "Threads", value: 1, max: crossOriginIsolated ? cores : 1 };
const seed: Field = { name: "seed", label: "Seed", value: 1, min: 0 };

void startPanel(element("lenet"), {
  about:
    "LeNet-5 learns handwritten digits (MNIST), beginning with random weights. A tenth of the images chooses the best epoch; the test images are looked at once, at the end.",
  fields: [
    { name: "images", label: "Training images", value: 10_000, min: 200, max: 60_000 },
    { name: "testImages", label: "Test images", value: 10_000, min: 100, max: 10_000, step: 100 },
    { name: "epochs", label: "Epochs", value: 3, max: 100 },
    { name: "batchSize", label: "Batch size", value: 64, max: 1024 },
    { name: "learningRate", label: "Learning rate", value: 0.02, min: 0, step: "any" },
    { name: "shift", label: "Shift images by a pixel", value: false },
    threads,
    seed,
  ],
  metric: "validation accuracy",
  unit: "images",
  file: "lenet5.onnx",
  picture: 64,
  order: ({ images, testImages, epochs, batchSize, learningRate, shift, threads, seed }) => ({
    kind: "train",
    task: "lenet",
    settings: {
      images: Number(images),
      testImages: Number(testImages),
      epochs: Number(epochs),
      batchSize: Number(batchSize),
      learningRate: Number(learningRate),
      shift: shift === true,
      threads: Number(threads),
      seed: Number(seed),
      checkpointEvery: 20,
    },
  }),
});

void startPanel(element("direction"), {
  about:
    "A classifier says whether a line of text is upside down. Noise on its weights makes it no better than a coin. It is repaired by the original's answers on lines that this page draws: nobody labelled them.",
  fields: [
    { name: "lines", label: "Lines to learn from", value: 1000, min: 20, max: 20_000 },
    { name: "steps", label: "Steps", value: 200, max: 5000 },
    { name: "batchSize", label: "Batch size", value: 32, max: 256 },
    { name: "learningRate", label: "Learning rate", value: 0.003, min: 0, step: "any" },
    { name: "validateEvery", label: "Validate every", value: 20, max: 1000 },
    threads,
    seed,
  ],
  metric: "agreement",
  unit: "lines",
  file: "direction.onnx",
  picture: 180,
  order: ({ lines, steps, batchSize, learningRate, validateEvery, threads, seed }) => ({
    kind: "train",
    task: "direction",
    settings: {
      lines: Number(lines),
      steps: Number(steps),
      batchSize: Number(batchSize),
      learningRate: Number(learningRate),
      validateEvery: Number(validateEvery),
      threads: Number(threads),
      seed: Number(seed),
    },
  }),
});

const tabs = [...document.querySelectorAll<HTMLElement>('[role="tab"]')];

function choose(chosen: HTMLElement): void {
  for (const tab of tabs) {
    const selected = tab === chosen;
    tab.setAttribute("aria-selected", String(selected));
    tab.tabIndex = selected ? 0 : -1;
    element(tab.getAttribute("aria-controls")!).hidden = !selected;
  }
}

for (const [place, tab] of tabs.entries()) {
  tab.addEventListener("click", () => choose(tab));
  tab.addEventListener("keydown", ({ key }) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (by === undefined) return;
    const next = tabs[(place + by + tabs.length) % tabs.length]!;
    next.focus();
    choose(next);
  });
}

/** The page's own pulse: were training in its thread, this would be as long as a step. */
let longest = 0;
let last = performance.now();
let ticks = 0;
setInterval(() => {
  const now = performance.now();
  const busy = document.querySelector('[data-state="training"]') !== null;
  if (busy && !document.hidden) longest = Math.max(longest, now - last - 50);
  last = now;
  if (!busy) return;
  document.body.dataset["ticks"] = String(++ticks);
  element("pause").textContent = `Longest pause of this page while training: ${Math.max(0, longest).toFixed(0)} ms.`;
}, 50);
