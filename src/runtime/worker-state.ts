/**
 * @file The caller's side of state that a worker keeps: a step sends its feeds and gets small outputs back.
 */
import { chunksLength } from "../onnx/encode.ts";
import type { ReadModel } from "./onnxruntime-web.ts";
import type { ModelSource } from "./runtime.ts";
import type { StateSlot, StateStore } from "./stateful.ts";
import type { Send } from "./worker-client.ts";
import { buffersOf, packTensors, unpackTensors } from "./worker-messages.ts";

/** Creates a store in the worker behind `call`. */
export async function connectState(
  call: Send,
  slots: readonly StateSlot[],
  read: ReadModel | undefined,
): Promise<StateStore> {
  const initial = packTensors(Object.fromEntries(slots.map((slot) => [slot.name, slot.initial])), false);
  const store = await call(
    "createState",
    { slots: slots.map(({ name, input, output }) => ({ name, input, output, initial: initial[name]! })) },
    buffersOf(initial),
  );
  const snapshot: StateStore["snapshot"] = async (names) =>
    new Map(Object.entries(unpackTensors(await call("readState", { store, names }))));
  const restore: StateStore["restore"] = async (state) => {
    const packed = packTensors(Object.fromEntries(state), false);
    await call("writeState", { store, state: packed }, buffersOf(packed));
  };
  return {
    snapshot,
    restore,
    get: async (name) => (await snapshot([name])).get(name)!,
    set: (name, tensor) => restore(new Map([[name, tensor]])),
    async load(model, options) {
      const copy = copyModel("path" in model ? (read?.(model.path) ?? model) : model);
      const { session, inputs, outputs } = await call(
        "loadStateful",
        { store, model: copy.model, options },
        copy.buffers,
      );
      return {
        inputs,
        outputs,
        async step(feeds, fetch) {
          const packed = packTensors(feeds, false);
          return unpackTensors(await call("step", { session, feeds: packed, fetch }, buffersOf(packed)));
        },
        release: () => call("releaseStateful", { session }),
      };
    },
    release: () => call("releaseState", { store }),
  };
}

/** A model in buffers of its own, which can be transferred. */
export function copyModel(model: ModelSource): { readonly model: ModelSource; readonly buffers: ArrayBuffer[] } {
  if ("path" in model) return { model, buffers: [] };
  const chunks: readonly Uint8Array[] = model.bytes instanceof Uint8Array ? [model.bytes] : model.bytes;
  const bytes = new Uint8Array(chunksLength(chunks));
  let position = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, position);
    position += chunk.byteLength;
  }
  const files = Object.entries(model.external ?? {}).map(
    ([location, file]) => [location, new Uint8Array(file)] as const,
  );
  return {
    model: { bytes, ...(files.length > 0 && { external: Object.fromEntries(files) }) },
    buffers: [bytes.buffer, ...files.map(([, file]) => file.buffer)],
  };
}
