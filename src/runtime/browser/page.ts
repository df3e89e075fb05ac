/**
 * @file The page's script: says what is going on, and starts workers when Node asks for them. Runs in the browser.
 * Models run in workers so that the page stays alive: a phone would offer to close one that does not answer.
 */
import { describeHost } from "./host.ts";
import { eventsPath, HELLO_PATH, leftPath, type PageEvent, type Show } from "./messages.ts";

const element = (id: string): HTMLElement => document.getElementById(id)!;
const workers = new Map<number, Worker>();

function show({ state, title, lines }: Show): void {
  document.body.dataset["state"] = state;
  document.title = `${title} – Tersor`;
  element("title").textContent = title;
  element("lines").replaceChildren(
    ...lines.map((line) => {
      const paragraph = document.createElement("p");
      paragraph.textContent = line;
      return paragraph;
    }),
  );
}

function handle(event: PageEvent, events: EventSource): void {
  switch (event.kind) {
    case "start": {
      // Told again after a reconnection.
      if (workers.has(event.worker)) return;
      const url = new URL(
        import.meta.resolve(import.meta.url.endsWith(".ts") ? "./page-worker.ts" : "./page-worker.js"),
      );
      const { worker, provider } = event;
      url.search = new URLSearchParams({ worker: String(worker), provider, base: document.baseURI }).toString();
      workers.set(worker, new Worker(url, { type: "module" }));
      return;
    }
    case "end":
      workers.get(event.worker)?.terminate();
      workers.delete(event.worker);
      return;
    case "show":
      show(event.show);
      return;
    case "bye":
      events.close();
      for (const worker of workers.values()) worker.terminate();
      return;
  }
}

/** A screen that goes dark stops the page. Only secure contexts may ask for it. */
async function stayAwake(): Promise<void> {
  await (navigator as { wakeLock?: { request(type: "screen"): Promise<unknown> } }).wakeLock?.request("screen");
}

async function main(): Promise<void> {
  const host = await describeHost();
  element("device").textContent = host.name;
  const notes: string[] = [];
  if (!host.secure)
    notes.push("Over plain HTTP a browser gives a page neither WebGPU nor threads: WASM with one thread.");
  else if (host.gpu === undefined) notes.push("No WebGPU here: only WASM is measured.");
  element("notes").textContent = notes.join(" ");
  const response = await fetch(HELLO_PATH, { method: "POST", body: JSON.stringify(host) });
  if (!response.ok) throw new Error(await response.text());
  const { device } = (await response.json()) as { readonly device: number };
  const events = new EventSource(eventsPath(device));
  events.onmessage = (message) => handle(JSON.parse(message.data as string) as PageEvent, events);
  events.onerror = () => {
    if (events.readyState !== EventSource.CLOSED) return;
    show({ state: "failed", title: "The connection is lost", lines: ["Is `tersor verify --serve` still running?"] });
  };
  addEventListener("pagehide", () => navigator.sendBeacon(leftPath(device)));
  await stayAwake().catch(() => {});
}

main().catch((error: unknown) => {
  show({
    state: "failed",
    title: "This page cannot start",
    lines: [error instanceof Error ? error.message : String(error)],
  });
});
