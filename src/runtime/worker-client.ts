/**
 * @file The caller's side of a runtime in a worker; the same for any kind of worker.
 */
import { messageOf, TersorError } from "../util/errors.ts";
import type { ReadModel } from "./onnxruntime-web.ts";
import type { ModelSource, Runtime, Session, SessionOptions } from "./runtime.ts";
import {
  buffersOf,
  type Calls,
  type Kind,
  packTensors,
  type Reply,
  type Request,
  type RuntimeName,
  unpackError,
  unpackTensors,
} from "./worker-messages.ts";
import { connectState, copyModel } from "./worker-state.ts";

/** A runtime whose sessions live in a worker: the caller's event loop stays free while they load and run. */
export interface WorkerRuntime extends Runtime {
  /**
   * Ends the worker. Calls that are under way, and later ones, reject at once. The promise resolves when the worker is
   * gone: in onnxruntime-node, whose runs cannot be interrupted, that is after the one that is under way.
   */
  close(): Promise<void>;
}

/** A way to a worker. */
export interface WorkerChannel {
  post(request: Request, transfer: ArrayBuffer[]): void;
  /** Called once, before anything is posted. `onEnd` gets a clause that says how the worker ended by itself. */
  listen(onReply: (reply: Reply) => void, onEnd: (how: string) => void): void;
  /** Tells whether an answer is awaited: an idle worker need not keep its process alive. */
  setBusy(busy: boolean): void;
  /** Ends the worker; resolves when it is gone. */
  end(): Promise<void>;
}

export interface ConnectOptions {
  /** How messages call the place. Default "in a worker". */
  readonly where?: string;
  /** Reads models that are given as a path, where the worker reaches no files. */
  readonly read?: ReadModel;
}

/** Sends a request; resolves with its answer. */
export type Send = <K extends Kind>(
  kind: K,
  request: Calls[K]["request"],
  transfer?: ArrayBuffer[],
) => Promise<Calls[K]["result"]>;

interface Call {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Starts the named runtime behind a channel.
 * @throws what creating the runtime throws there; the worker is ended then.
 */
export async function connectRuntime(
  channel: WorkerChannel,
  name: RuntimeName,
  { where = "in a worker", read }: ConnectOptions = {},
): Promise<WorkerRuntime> {
  const calls = new Map<number, Call>();
  let next = 0;
  let ended: TersorError | undefined;

  const end = (problem: string, help?: string): void => {
    ended ??= new TersorError("WORKER", { area: "runtime", subject: `${name} ${where}`, problem, help });
    for (const { reject } of calls.values()) reject(ended);
    calls.clear();
  };
  channel.listen(
    (reply) => {
      if (ended !== undefined) return;
      const call = calls.get(reply.id);
      calls.delete(reply.id);
      channel.setBusy(calls.size > 0);
      if ("error" in reply) call?.reject(unpackError(reply.error));
      else call?.resolve(reply.result);
    },
    (how) => end(`expected an answer, but ${how}`, "Start the runtime again, and load its sessions again."),
  );
  const call: Send = (kind, request, transfer = []) =>
    new Promise((resolve, reject) => {
      if (ended !== undefined) return reject(ended);
      const id = next++;
      calls.set(id, { resolve: resolve as Call["resolve"], reject });
      channel.setBusy(true);
      try {
        channel.post({ id, kind, ...request } as Request, transfer);
      } catch (error) {
        // What cannot be cloned: an option that is a function, for example.
        calls.delete(id);
        channel.setBusy(calls.size > 0);
        reject(new TypeError(`${name} ${where}: ${kind}: ${messageOf(error)}`));
      }
    });

  const close = async (): Promise<void> => {
    end("it was closed");
    await channel.end();
  };
  const started = await call("start", { name }).catch(async (error: unknown) => {
    await close();
    throw error;
  });
  const ids = new WeakMap<Session, number>();
  return {
    name,
    version: started.version,
    ...(started.host && { host: started.host }),
    close,
    interleave(sessions, feeds, options) {
      const packed = feeds.map((tensors) => packTensors(tensors, false));
      return call(
        "interleave",
        { sessions: sessions.map((session) => ids.get(session) ?? -1), feeds: packed, options },
        packed.flatMap(buffersOf),
      );
    },
    createState: (slots) => connectState(call, slots, read),
    ...(started.places && {
      placement(model: ModelSource, options?: SessionOptions) {
        const copy = copyModel("path" in model ? (read?.(model.path) ?? model) : model);
        return call("placement", { model: copy.model, options }, copy.buffers);
      },
    }),
    async load(model, options): Promise<Session> {
      const copy = copyModel("path" in model ? (read?.(model.path) ?? model) : model);
      const { session, inputs, outputs } = await call("load", { model: copy.model, options }, copy.buffers);
      const loaded: Session = {
        inputs,
        outputs,
        async run(feeds, fetch) {
          const packed = packTensors(feeds, false);
          return unpackTensors(await call("run", { session, feeds: packed, fetch }, buffersOf(packed)));
        },
        release: () => call("release", { session }),
      };
      ids.set(loaded, session);
      return loaded;
    },
  };
}
