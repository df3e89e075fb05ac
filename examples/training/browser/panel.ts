/**
 * @file One tab: its settings, its worker, what is seen while it trains, and the trained model.
 */
import { databaseCheckpoints } from "../../../src/web.ts";
import { type Chart, createChart } from "./chart.ts";
import { databaseOf, type FromTrainer, type Order, type Shown, type ToTrainer } from "./messages.ts";

export interface Field {
  readonly name: string;
  readonly label: string;
  /** A number, or a box to tick. */
  readonly value: number | boolean;
  readonly min?: number;
  readonly max?: number;
  readonly step?: number | "any";
}

export interface PanelSpec {
  readonly about: string;
  readonly fields: readonly Field[];
  /** What validation measures: "validation accuracy". */
  readonly metric: string;
  /** What is counted per second: "images". */
  readonly unit: string;
  /** Of the downloaded model. */
  readonly file: string;
  /** Pixels that a picture is shown at, at least. */
  readonly picture: number;
  order(values: Readonly<Record<string, number | boolean>>): Order;
}

type State = "idle" | "training" | "interrupted" | "done" | "failed";

export async function startPanel(root: HTMLElement, spec: PanelSpec): Promise<void> {
  root.append((document.getElementById("panel") as HTMLTemplateElement).content.cloneNode(true));
  const find = <T extends HTMLElement>(selector: string): T => root.querySelector<T>(selector)!;
  const button = (name: string): HTMLButtonElement => find(`[data-do="${name}"]`);
  const form = find<HTMLFormElement>("form");
  const chart = createChart(find("canvas"));
  const saved = databaseOf(root.id);
  const checkpoints = databaseCheckpoints(databaseOf(root.id));
  let worker: Worker | undefined;
  let total = 1;
  let batch = 1;

  find(".about").textContent = spec.about;
  find(".fields").append(...spec.fields.map(fieldElement));
  find(".key.value").textContent = spec.metric;
  find(".shown").style.setProperty("--least", `${spec.picture}px`);
  tiles(find(".live"), { step: "–", loss: "–", [spec.metric]: "–", [`${spec.unit}/s`]: "–", "time left": "–" });

  const values = (): Record<string, number | boolean> =>
    Object.fromEntries(
      spec.fields.map(({ name }) => {
        const input = form.elements.namedItem(name) as HTMLInputElement;
        return [name, input.type === "checkbox" ? input.checked : input.valueAsNumber];
      }),
    );
  const show = (state: State, doing: string, hint = ""): void => {
    root.dataset["state"] = state;
    find(".doing").textContent = doing;
    find(".hint").textContent = hint;
    const [busy, interrupted] = [state === "training", state === "interrupted"];
    button("train").textContent = interrupted ? "Continue" : state === "done" ? "Train again" : "Train";
    button("train").hidden = busy;
    button("cancel").hidden = !busy;
    button("forget").hidden = !interrupted;
    for (const input of form.querySelectorAll("input")) input.disabled = busy || interrupted;
    if (busy) find(".result").hidden = true;
  };
  /** A training that was interrupted, by the button or by the page's end. */
  const look = async (): Promise<void> => {
    const text = localStorage.getItem(saved);
    const record = (await checkpoints.latest())?.checkpoint.record;
    if (record === undefined || text === null) return show("idle", "Ready");
    for (const { step, value } of record.validations) chart.addValue(step, value);
    for (const [name, value] of Object.entries(JSON.parse(text) as ReturnType<typeof values>)) {
      const input = form.elements.namedItem(name) as HTMLInputElement;
      if (typeof value === "boolean") input.checked = value;
      else input.valueAsNumber = value;
    }
    show("interrupted", `Interrupted after step ${record.step}`, "Its state is kept in this browser.");
  };
  const forget = async (): Promise<void> => {
    localStorage.removeItem(saved);
    await checkpoints.clear();
  };
  const hear = (message: FromTrainer): void => {
    switch (message.kind) {
      case "doing":
        show("training", `${message.text} …`);
        return;
      case "log":
        follow(message.record, chart);
        return;
      case "done":
        finish(message);
        break;
      case "cancelled":
        void look();
        break;
      case "failed":
        show("failed", message.message);
        break;
    }
    worker?.terminate();
  };
  const follow = (record: (FromTrainer & { kind: "log" })["record"], { addLoss, addValue }: Chart): void => {
    switch (record.type) {
      case "start":
        total = record.totalSteps;
        chart.start(total, record.step);
        find<HTMLProgressElement>("progress").max = total;
        return;
      case "step": {
        addLoss(record.step, record.loss);
        find<HTMLProgressElement>("progress").value = record.step;
        if (record.step < total) show("training", "Training …");
        const left = ((total - record.step) * batch) / record.samplesPerSecond;
        tiles(find(".live"), {
          step: [String(record.step), ` of ${total}`],
          loss: chart.average!.toPrecision(3),
          [`${spec.unit}/s`]: record.samplesPerSecond.toLocaleString("en"),
          "time left": left < 100 ? `${Math.ceil(left)} s` : `${Math.round(left / 60)} min`,
        });
        return;
      }
      case "validation":
        addValue(record.step, record.value);
        tiles(find(".live"), { [spec.metric]: `${(100 * record.value).toFixed(1)} %` });
        return;
      case "end":
        if (record.reason === "finished") show("training", "Looking at what it has not seen …");
        return;
      case "checkpoint":
        root.dataset["checkpoint"] = String(record.step);
        return;
    }
  };
  const finish = (message: FromTrainer & { kind: "done" }): void => {
    show("done", "Done");
    find(".result h2").textContent = message.summary;
    tiles(find(".figures"), Object.fromEntries(message.figures.map(({ label, value }) => [label, value])));
    const link = find<HTMLAnchorElement>('[data-do="download"]');
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob([message.file]));
    link.download = spec.file;
    link.textContent = `Download ${spec.file} (${Math.round(message.file.byteLength / 1000).toLocaleString("en")} kB)`;
    find(".shown").replaceChildren(...message.shown.map(picture));
    find(".result").hidden = false;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const anew = root.dataset["state"] !== "interrupted";
    show("training", "Starting …");
    if (anew) await forget();
    const given = values();
    localStorage.setItem(saved, JSON.stringify(given));
    const order = spec.order(given);
    batch = order.settings.batchSize ?? 1;
    // Each training has a worker of its own: its memory goes with it, and its number of threads.
    worker = new Worker(new URL("trainer.ts", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }) => hear(data as FromTrainer));
    worker.addEventListener("error", ({ message }) => show("failed", `The worker failed: ${message}`));
    worker.postMessage(order satisfies ToTrainer);
  });
  button("cancel").addEventListener("click", () => {
    show("training", "Cancelling …");
    worker?.postMessage({ kind: "cancel" } satisfies ToTrainer);
  });
  button("forget").addEventListener("click", async () => {
    await forget();
    chart.start(1);
    show("idle", "Ready");
  });
  await look();
}

function fieldElement({ name, label, value, min, max, step = 1 }: Field): HTMLElement {
  const input = document.createElement("input");
  input.name = name;
  if (typeof value === "boolean") Object.assign(input, { type: "checkbox", checked: value });
  else Object.assign(input, { type: "number", min: min ?? 1, max: max ?? "", step, required: true, value });
  const element = document.createElement("label");
  element.append(label, input);
  return element;
}

/** Sets figures by their labels; a second text is shown smaller. */
function tiles(list: HTMLElement, figures: Readonly<Record<string, string | readonly [string, string]>>): void {
  for (const [label, figure] of Object.entries(figures)) {
    let value = [...list.querySelectorAll("dt")].find((term) => term.textContent === label)?.nextElementSibling;
    if (!value) {
      const box = document.createElement("div");
      const term = document.createElement("dt");
      term.textContent = label;
      value = document.createElement("dd");
      box.append(term, value);
      list.append(box);
    }
    const [text, more] = typeof figure === "string" ? [figure] : figure;
    value.textContent = text;
    if (more === undefined) continue;
    const small = document.createElement("small");
    small.textContent = more;
    value.append(small);
  }
}

function picture({ width, height, pixels, caption, good }: Shown): HTMLElement {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  canvas.getContext("2d")!.putImageData(new ImageData(pixels, width, height), 0, 0);
  const text = document.createElement("figcaption");
  text.textContent = caption;
  const element = document.createElement("figure");
  element.className = `${good ? "good" : "bad"} ${width < 64 ? "small" : ""}`;
  element.append(canvas, text);
  return element;
}
