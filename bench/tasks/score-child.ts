/**
 * @file The process that judges files for score.ts: its argument is a request, the last line of its output the reply.
 *
 * What the original says is kept in .bench, so that trying another setting costs the runs of the new file only.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createComparer } from "../../src/measure/compare.ts";
import { createRuntime } from "../../src/runtime/create-node.ts";
import type { Runtime, Session } from "../../src/runtime/runtime.ts";
import { TARGETS } from "../../src/runtime/targets.ts";
import { messageOf } from "../../src/util/errors.ts";
import { WORK } from "./samples.ts";
import type { FileScore, ScoreReply, ScoreRequest } from "./score.ts";
import { type Part, SEED } from "./task.ts";
import { findTask } from "./tasks.ts";

const request = JSON.parse(process.argv[2]!) as ScoreRequest;
const task = findTask(request.task);
const runtime = await createRuntime(TARGETS[request.target].runtime!);

interface Judged {
  session: Session | undefined;
  error?: string;
  readonly comparer: ReturnType<typeof createComparer>;
  readonly parts: Part[][];
}

async function open(path: string): Promise<Judged> {
  const judged = { comparer: createComparer(), parts: task.figures.map((): Part[] => []) };
  try {
    return { ...judged, session: await runtime.load({ path }, { threads: 1 }) };
  } catch (error) {
    return { ...judged, session: undefined, error: messageOf(error).split("\n")[0]! };
  }
}

/** The file in which the original's readings are kept: it names everything that they hang on. */
function storeOf(path: string, { name, version }: Runtime): string {
  const hash = createHash("sha256").update(readFileSync(path)).digest("hex").slice(0, 12);
  return join(WORK, task.name, "original", `${hash}-${name}-${version}-seed-${SEED}.json`);
}

const [originalPath, ...paths] = request.files;
const original = await open(originalPath!);
if (original.session === undefined) throw new Error(`${originalPath}: ${original.error}. ${task.help}`);
const others: Judged[] = [];
for (const path of paths) others.push(await open(path));

const store = storeOf(originalPath!, runtime);
const known = existsSync(store) ? (JSON.parse(readFileSync(store, "utf8")) as unknown[]) : [];
const before = known.length;
for (let index = 0; index < request.samples; index++) {
  const { inputs, label } = task.sample("evaluation", index);
  const compared = index < request.compared;
  const reference = compared || index >= known.length ? await original.session.run(inputs) : undefined;
  if (reference !== undefined) known[index] = task.read(reference);
  // Through JSON as what comes from the disk.
  const truth = known[index];
  const add = (judged: Judged, reading: unknown): void => {
    for (const [i, part] of task.judge(reading, truth, label).entries()) judged.parts[i]!.push(part);
  };
  add(original, truth);
  for (const other of others) {
    if (other.session === undefined) continue;
    try {
      const outputs = await other.session.run(inputs);
      if (compared) other.comparer.add(reference!, outputs);
      add(other, task.read(outputs));
    } catch (error) {
      other.error = messageOf(error).split("\n")[0]!;
      other.session = undefined;
    }
  }
  if (index % 200 === 199) console.error(`${task.name} on ${request.target}: ${index + 1} of ${request.samples}`);
}
if (known.length > before) {
  mkdirSync(dirname(store), { recursive: true });
  writeFileSync(`${store}.${process.pid}`, JSON.stringify(known));
  renameSync(`${store}.${process.pid}`, store);
}

const scoreOf = ({ comparer, parts, error }: Judged): FileScore => {
  if (error !== undefined) return { parts: [], error };
  const comparison = comparer.result().find((entry) => entry.kind === "float");
  return { ...(comparison && { sqnr: comparison.sqnr }), parts };
};
const reply: ScoreReply = {
  runtime: `${runtime.name} ${runtime.version}`,
  files: [original, ...others].map(scoreOf),
};
process.stdout.write(`${JSON.stringify(reply)}\n`, () => process.exit(0));
