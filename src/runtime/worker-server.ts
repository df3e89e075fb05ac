/**
 * @file The worker's side of a runtime in a worker; the same for any kind of worker.
 */
import { InputError } from "../util/errors.ts";
import { interleave } from "./interleave.ts";
import type { Runtime, Session } from "./runtime.ts";
import { createState, type StatefulSession, type StateStore } from "./stateful.ts";
import {
  buffersOf,
  type Calls,
  type Farewell,
  type Kind,
  packError,
  packTensors,
  type Reply,
  type Request,
  type RuntimeName,
  unpackTensor,
  unpackTensors,
} from "./worker-messages.ts";

interface Answer {
  readonly result: Calls[Kind]["result"];
  readonly transfer?: ArrayBuffer[];
}

/**
 * Answers requests one after the other, in the order in which they come: returns the function that takes them.
 * @param end ends the worker; called between requests.
 */
export function serveRuntime(
  create: (name: RuntimeName) => Promise<Runtime>,
  post: (reply: Reply, transfer: ArrayBuffer[]) => void,
  end: () => void,
): (request: Request | Farewell) => void {
  const sessions = new Map<number, Session>();
  const stateful = new Map<number, StatefulSession>();
  const stores = new Map<number, StateStore>();
  let runtime: Runtime | undefined;
  let next = 0;

  const found = <T>(all: ReadonlyMap<number, T>, id: number, subject = "session"): T => {
    const one = all.get(id);
    if (one !== undefined) return one;
    throw new InputError({ area: "runtime", subject, problem: "expected a loaded one, got a released one" });
  };
  const find = (id: number): Session => found(sessions, id);
  const store = (id: number): StateStore => found(stores, id, "state");
  const answer = async (request: Request): Promise<Answer> => {
    switch (request.kind) {
      case "start": {
        runtime = await create(request.name);
        const { version, host, placement } = runtime;
        return { result: { version, host, places: placement !== undefined } };
      }
      case "load": {
        const session = await runtime!.load(request.model, request.options);
        sessions.set(next, session);
        return { result: { session: next++, inputs: session.inputs, outputs: session.outputs } };
      }
      case "run": {
        const results = await find(request.session).run(unpackTensors(request.feeds), request.fetch);
        const result = packTensors(results, true);
        return { result, transfer: buffersOf(result) };
      }
      case "interleave": {
        const { sessions: ids, feeds, options } = request;
        return { result: await interleave(ids.map(find), feeds.map(unpackTensors), options) };
      }
      case "placement":
        return { result: await runtime!.placement?.(request.model, request.options) };
      case "release": {
        const session = find(request.session);
        sessions.delete(request.session);
        await session.release();
        return { result: undefined };
      }
      case "createState": {
        const slots = request.slots.map((slot) => ({ ...slot, initial: unpackTensor(slot.initial) }));
        stores.set(next, await createState(runtime!, slots));
        return { result: next++ };
      }
      case "loadStateful": {
        const session = await store(request.store).load(request.model, request.options);
        stateful.set(next, session);
        return { result: { session: next++, inputs: session.inputs, outputs: session.outputs } };
      }
      case "step": {
        const results = await found(stateful, request.session).step(unpackTensors(request.feeds), request.fetch);
        const result = packTensors(results, true);
        return { result, transfer: buffersOf(result) };
      }
      case "readState": {
        const result = packTensors(Object.fromEntries(await store(request.store).snapshot(request.names)), true);
        return { result, transfer: buffersOf(result) };
      }
      case "writeState":
        await store(request.store).restore(new Map(Object.entries(unpackTensors(request.state))));
        return { result: undefined };
      case "releaseStateful": {
        const session = found(stateful, request.session);
        stateful.delete(request.session);
        await session.release();
        return { result: undefined };
      }
      case "releaseState": {
        const state = store(request.store);
        stores.delete(request.store);
        await state.release();
        return { result: undefined };
      }
    }
  };

  let queue = Promise.resolve();
  let closed = false;
  return (request) => {
    if (request.kind === "close") {
      // At once for the requests that wait: nobody wants their answers any more.
      closed = true;
      queue = queue.then(end);
      return;
    }
    const { id } = request;
    queue = queue.then(async () => {
      if (closed) return;
      try {
        const { result, transfer = [] } = await answer(request);
        post({ id, result }, transfer);
      } catch (error) {
        post({ id, error: packError(error) }, []);
      }
    });
  };
}
