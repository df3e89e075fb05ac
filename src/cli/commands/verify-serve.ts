/**
 * @file `tersor verify --serve`: a URL that any device's browser opens, a phone's for example, and the verdict from there.
 */
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { type DeviceMeasurement, measureDevice, WEB_TARGETS } from "../../analyze/device.ts";
import type { Drop } from "../../analyze/drops.ts";
import type { TargetMeasurement, VerifyJob } from "../../analyze/job.ts";
import { judge } from "../../analyze/judge.ts";
import { agreementText, placementText, speedText } from "../../analyze/measurement-text.ts";
import type { Machine } from "../../measure/machine.ts";
import type { Device } from "../../runtime/browser/device.ts";
import { type PageServer, startPageServer } from "../../runtime/browser/server.ts";
import type { Host } from "../../runtime/runtime.ts";
import type { TargetName } from "../../runtime/targets.ts";
import { InputError, messageOf, OptionError } from "../../util/errors.ts";
import { formatMilliseconds } from "../../util/format.ts";
import type { Progress } from "../../util/progress.ts";
import { renderDrops } from "../render/measurement.ts";

export interface ServeFlags {
  readonly serve?: boolean;
  readonly port?: number;
  readonly host?: string;
  readonly devices?: number;
  readonly cert?: string;
  readonly key?: string;
  readonly ortWeb?: string;
}

export interface ServeOptions {
  readonly flags: ServeFlags;
  readonly targets: readonly TargetName[] | undefined;
  readonly job: Omit<VerifyJob, "target">;
  readonly progress: { readonly update: Progress; clear(): void };
  /** What was lost, where that is limited. */
  readonly dropsOf: (targets: readonly TargetMeasurement[]) => readonly Drop[];
  /** Called with each device's result as it comes. */
  readonly onResult: (result: DeviceMeasurement) => void;
  readonly signal: AbortSignal;
}

/** Devices in the same network reach it; who does not know the URL's random part does not. */
const EVERYWHERE = "0.0.0.0";

/** Milliseconds between two lines of progress on the device. */
const REFRESH = 300;

/** Serves until `--devices` devices (default 1) have given their verdict. */
export async function serveVerify(options: ServeOptions): Promise<DeviceMeasurement[]> {
  const { flags, progress, signal } = options;
  const targets = (options.targets ?? WEB_TARGETS).filter((name) => (WEB_TARGETS as readonly string[]).includes(name));
  if (targets.length === 0) {
    const problem = `expected ${WEB_TARGETS.join(" or ")} with --serve, got ${options.targets?.join(", ")}`;
    throw new OptionError({ area: "verify", subject: "--target", problem, help: "A device has no others." });
  }
  const host = flags.host ?? EVERYWHERE;
  const tls = readTls(flags);
  const server = await startPageServer({ host, port: flags.port, tls, ortWeb: flags.ortWeb });
  const results: DeviceMeasurement[] = [];
  const wanted = flags.devices ?? 1;
  try {
    process.stderr.write(invitation(server, host, tls !== undefined));
    while (results.length < wanted) {
      const device = await server.nextDevice(signal);
      progress.clear();
      process.stderr.write(`${device.host.name} has opened it.\n`);
      const result = await measureDevice(device, targets, options.job, report(device, progress.update), signal).catch(
        (error: unknown) => {
          device.show({ state: "failed", title: signal.aborted ? "Cancelled" : "Failed", lines: [messageOf(error)] });
          throw error;
        },
      );
      progress.clear();
      if (result === undefined) {
        process.stderr.write(`${device.host.name} went away before it was done; open the URL again.\n`);
        continue;
      }
      results.push(result);
      device.show(verdictShow(result, options.dropsOf(result.targets), wanted - results.length));
      options.onResult(result);
    }
    return results;
  } finally {
    await server.close();
  }
}

/** Progress here and on the device. */
function report(device: Device, update: Progress): Progress {
  let last = 0;
  let lastTask = "";
  return (task, done, total) => {
    update(task, done, total);
    if (task === lastTask && performance.now() - last < REFRESH) return;
    last = performance.now();
    lastTask = task;
    const count = done === 0 ? "" : total === undefined ? `${done}` : `${done} of ${total}`;
    device.show({ state: "working", title: `${task[0]!.toUpperCase()}${task.slice(1)}`, lines: count ? [count] : [] });
  };
}

/** Every file usable, none slower than the original, and none that lost more than it may. */
export function deviceOk({ targets, errors }: DeviceMeasurement, drops: readonly Drop[]): boolean {
  if (errors.length > 0 || drops.some((drop) => !drop.ok)) return false;
  return targets.every(({ files }) =>
    files.slice(1).every((file) => judge(file, files[0]).usable && file.latency?.verdict !== "slower"),
  );
}

/** The device as a report's machine: its processor is not told. */
export function deviceMachine(host: Host): Machine {
  const context = host.isolated ? "cross-origin isolated" : host.secure ? "not isolated" : "plain HTTP";
  return { processor: host.name, cores: host.cores, vnni: undefined, platform: `${host.cores} cores`, host: context };
}

function verdictShow(
  result: DeviceMeasurement,
  drops: readonly Drop[],
  missing: number,
): Parameters<Device["show"]>[0] {
  const ok = deviceOk(result, drops);
  const lines = result.targets.flatMap((measured) => {
    const { target, notRunHere, files, notes = [] } = measured;
    if (notRunHere !== undefined) return [`${target}: not run: ${notRunHere}.`];
    const said = notes.map((note) => `${target}: ${note}`);
    const [original, ...others] = files;
    const time = original?.latency ? formatMilliseconds(original.latency.p50) : "not timed";
    if (others.length === 0) return [`${target}: loads and runs, ${time}.`, ...said];
    return [
      ...others.flatMap((file) => {
        if (file.error !== undefined) return [`${target}: does not ${file.error.stage}: ${file.error.message}`];
        const after = file.latency ? ` → ${formatMilliseconds(file.latency.p50)}, ${speedText(file)}` : "";
        const onCpu = placementText(file, original);
        return [
          `${target}: ${agreementText(file)}; ${time}${after}.${onCpu === "" ? "" : ` On the CPU: ${onCpu}.`}`,
          ...judge(file, original).problems.map((problem) => `! ${problem}`),
        ];
      }),
      ...said,
    ];
  });
  const errors = result.errors.map(({ target, message }) => `${target}: ${message}`);
  const rest = missing > 0 ? [`Tersor waits for ${missing} more.`] : ["You can close this page."];
  return {
    state: ok ? "ok" : "failed",
    title: ok ? "OK on this device" : "Not OK",
    lines: [...lines, ...renderDrops(drops), ...errors, ...rest],
  };
}

function readTls({ cert, key }: ServeFlags): { readonly cert: string; readonly key: string } | undefined {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    const problem = `expected both, got only ${cert === undefined ? "--key" : "--cert"}`;
    throw new OptionError({ area: "verify", subject: "--cert, --key", problem, help: "See docs/browser.md." });
  }
  const read = (path: string): string => {
    try {
      return readFileSync(path, "utf8");
    } catch (cause) {
      throw new InputError({ area: "verify", subject: path, problem: `cannot be read: ${messageOf(cause)}`, cause });
    }
  };
  return { cert: read(cert), key: read(key) };
}

function invitation(server: PageServer, host: string, secure: boolean): string {
  const names = host === EVERYWHERE || host === "::" ? [...networkAddresses(), "localhost"] : [host];
  const lines = ["Open on the device, in the same network:", ...names.map((name) => `  ${server.url(name)}`)];
  if (!secure) {
    lines.push(
      "Over plain HTTP a browser offers a page no WebGPU and one thread only, except through localhost:",
      `  adb reverse tcp:${server.port} tcp:${server.port}   (Android on a cable, then the localhost URL)`,
      "  --cert FILE --key FILE   (HTTPS)",
    );
  }
  return `${lines.join("\n")}\nWaiting …\n`;
}

function networkAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal }) => family === "IPv4" && !internal)
    .map(({ address }) => address);
}
