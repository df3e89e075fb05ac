/**
 * @file One page that is open somewhere, as Node sees it: what it is told, and the workers that run in it.
 */
import type { ServerResponse } from "node:http";
import type { WebProvider } from "../onnxruntime-web.ts";
import { readModel } from "../read-model.ts";
import type { Host } from "../runtime.ts";
import { connectRuntime, type WorkerChannel, type WorkerRuntime } from "../worker-client.ts";
import type { Reply, Request } from "../worker-messages.ts";
import { decodeFrame, encodeFrame } from "./frame.ts";
import type { PageEvent, Show } from "./messages.ts";

/** A browser that has opened the page. */
export interface Device {
  readonly host: Host;
  /** Starts onnxruntime-web in a worker of the page. */
  start(provider: WebProvider): Promise<WorkerRuntime>;
  show(show: Show): void;
  /** Fails all that is under way: the page is known to be gone. `how` is a clause. */
  lose(how: string): void;
  /** How the page was lost; undefined: it is there. */
  readonly lost: string | undefined;
}

/** Milliseconds that a worker waits for a request before it asks again: shorter than what proxies and phones cut off. */
const POLL_MS = 15_000;
/** Milliseconds without the page's ear after which it is gone: closed, or a phone asleep. */
const GONE_MS = 15_000;
/** Milliseconds for one load, run or timing: something that hangs ends. */
const CALL_MS = 600_000;

let workers = 0;

/** A worker of a page: one request at a time; kept until its answer is there, because a connection may break between. */
class PageWorker {
  readonly id = workers++;
  readonly provider: WebProvider;
  readonly #waiting: { readonly id: number; readonly frame: Uint8Array }[] = [];
  #sent: { readonly id: number; readonly frame: Uint8Array } | undefined;
  /** The worker's request for work, while there is none. */
  #poll: ServerResponse | undefined;
  #timer: NodeJS.Timeout | undefined;
  #limit: NodeJS.Timeout | undefined;
  onReply: (reply: Reply) => void = () => {};
  onEnd: (how: string) => void = () => {};

  constructor(provider: WebProvider) {
    this.provider = provider;
  }

  post(request: Request): void {
    this.#waiting.push({ id: request.id, frame: encodeFrame(request) });
    this.#send();
  }

  /** Takes an answer, if the body has one, and gives the next request when there is one. */
  exchange(body: Buffer, response: ServerResponse): void {
    if (body.byteLength > 0) {
      const reply = decodeFrame(body) as Reply;
      // Another number: an answer that came twice.
      if (reply.id === this.#sent?.id) {
        this.#sent = undefined;
        clearTimeout(this.#limit);
        this.onReply(reply);
      }
    }
    this.#park(response);
    if (this.#sent !== undefined) this.#answer(200, this.#sent.frame);
    else this.#send();
  }

  end(): void {
    clearTimeout(this.#limit);
    this.#answer(410);
  }

  #send(): void {
    if (this.#poll === undefined || this.#sent !== undefined) return;
    this.#sent = this.#waiting.shift();
    if (this.#sent === undefined) return;
    this.#answer(200, this.#sent.frame);
    this.#limit = setTimeout(() => this.onEnd(`there was none in ${CALL_MS / 60_000} minutes`), CALL_MS);
  }

  #park(response: ServerResponse): void {
    this.#answer(204);
    this.#poll = response;
    response.once("close", () => {
      if (this.#poll !== response) return;
      clearTimeout(this.#timer);
      this.#poll = undefined;
    });
    this.#timer = setTimeout(() => this.#answer(204), POLL_MS);
  }

  #answer(status: number, frame?: Uint8Array): void {
    clearTimeout(this.#timer);
    const poll = this.#poll;
    this.#poll = undefined;
    if (poll === undefined) return;
    poll.writeHead(status, frame && { "Content-Type": "application/octet-stream" });
    poll.end(frame);
  }
}

export class PageDevice implements Device {
  readonly id: number;
  readonly host: Host;
  readonly #workers = new Map<number, PageWorker>();
  #ear: ServerResponse | undefined;
  #shown: Show | undefined;
  #gone: NodeJS.Timeout | undefined;
  #lost: string | undefined;

  constructor(id: number, host: Host) {
    this.id = id;
    this.host = host;
    this.#expectEar();
  }

  get lost(): string | undefined {
    return this.#lost;
  }

  has(worker: number): boolean {
    return this.#workers.has(worker);
  }

  async start(provider: WebProvider): Promise<WorkerRuntime> {
    const worker = new PageWorker(provider);
    this.#workers.set(worker.id, worker);
    const channel: WorkerChannel = {
      post: (request) => worker.post(request),
      listen: (onReply, onEnd) => {
        worker.onReply = onReply;
        worker.onEnd = onEnd;
        if (this.#lost !== undefined) onEnd(this.#lost);
        else this.#tell({ kind: "start", worker: worker.id, provider });
      },
      setBusy() {},
      end: async () => {
        worker.end();
        this.#workers.delete(worker.id);
        this.#tell({ kind: "end", worker: worker.id });
      },
    };
    return connectRuntime(channel, "onnxruntime-web", { where: `in ${this.host.name}`, read: readModel });
  }

  show(show: Show): void {
    this.#shown = show;
    this.#tell({ kind: "show", show });
  }

  lose(how: string): void {
    clearTimeout(this.#gone);
    this.#lost ??= how;
    for (const worker of this.#workers.values()) worker.onEnd(how);
  }

  /** Keeps the connection on which the page hears. A page that connects again is told all that holds. */
  listen(response: ServerResponse): void {
    clearTimeout(this.#gone);
    this.#ear?.end();
    this.#ear = response;
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write("retry: 1000\n\n");
    for (const { id, provider } of this.#workers.values()) this.#tell({ kind: "start", worker: id, provider });
    if (this.#shown !== undefined) this.#tell({ kind: "show", show: this.#shown });
    response.once("close", () => {
      if (this.#ear !== response) return;
      this.#ear = undefined;
      this.#expectEar();
    });
  }

  exchange(worker: number, body: Buffer, response: ServerResponse): void {
    this.#workers.get(worker)?.exchange(body, response);
  }

  fail(worker: number, problem: string): void {
    this.#workers.get(worker)?.onEnd(`the page's worker failed: ${problem}`);
  }

  close(): void {
    clearTimeout(this.#gone);
    this.#lost ??= "the server was closed";
    for (const worker of this.#workers.values()) worker.end();
    this.#tell({ kind: "bye" });
    this.#ear?.end();
  }

  #expectEar(): void {
    if (this.#lost !== undefined) return;
    clearTimeout(this.#gone);
    this.#gone = setTimeout(() => this.lose("the page was closed, or its device fell asleep"), GONE_MS);
  }

  #tell(event: PageEvent): void {
    this.#ear?.write(`data: ${JSON.stringify(event)}\n\n`);
  }
}
