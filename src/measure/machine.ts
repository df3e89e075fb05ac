/**
 * @file What a measurement was made on: processor, its integer instructions, memory, platform and Node.
 */

export interface Machine {
  readonly processor: string;
  /** Processors that may be used at once. */
  readonly cores: number;
  /** x86 only: 8-bit dot products accumulate in 32 bits. Without them u8×s8 products may saturate. Undefined: unknown. */
  readonly vnni: boolean | undefined;
  readonly platform: string;
  /** "Node 20.20.2". */
  readonly host: string;
}

/** Describes this machine. In a browser: what it tells. */
export async function describeMachine(): Promise<Machine> {
  if (typeof process === "undefined" || process.versions?.node === undefined) {
    return {
      processor: "unknown",
      cores: globalThis.navigator?.hardwareConcurrency ?? 1,
      vnni: undefined,
      platform: globalThis.navigator?.platform ?? "unknown",
      host: globalThis.navigator?.userAgent ?? "unknown",
    };
  }
  const os = await import("node:os");
  const cpus = os.cpus();
  return {
    processor: cpus[0]?.model.trim() || os.arch(),
    cores: os.availableParallelism(),
    vnni: await detectVnni(),
    platform: `${os.platform()} ${os.arch()}`,
    host: `Node ${process.versions.node}`,
  };
}

/** Linux lists the instruction sets; elsewhere they are not known. */
async function detectVnni(): Promise<boolean | undefined> {
  if (process.arch !== "x64" || process.platform !== "linux") return undefined;
  const { readFile } = await import("node:fs/promises");
  const text = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
  const flags = /^flags\s*:(.*)$/m.exec(text)?.[1]?.split(/\s+/);
  return flags?.some((flag) => flag === "avx512_vnni" || flag === "avx_vnni" || flag === "avxvnni");
}
