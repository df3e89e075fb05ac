/**
 * @file The worker's side of a runtime in a worker; the same for any kind of worker.
 */
import { InputError } from "../util/errors.ts";
import { interleave } from "./interleave.ts";
import type { Runtime, Session } from "./runtime.ts";
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
  let runtime: Runtime | undefined;
  let next = 0;

  const find = (id: number): Session => {
    const session = sessions.get(id);
    if (session !== undefined) return session;
    throw new InputError({ area: "runtime", subject: "session", problem: "expected a loaded one, got a released one" });
  };
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
