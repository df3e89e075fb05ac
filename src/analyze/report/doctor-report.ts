/**
 * @file The report of a doctor's visit: families of files, each judged against its original.
 */
import type { Machine } from "../../measure/machine.ts";
import type { SaturationScan } from "../../quantize/saturation/scan.ts";
import { saturationNote } from "../../quantize/saturation/scan.ts";
import { formatBytes, formatRatio } from "../../util/format.ts";
import type { DoctorFile, DoctorGroup } from "../doctor.ts";
import { verdictOf } from "../judge.ts";
import { agreementText, speedText } from "../measurement-text.ts";
import { type Html, html, name, type Part } from "./html.ts";
import { fileName, type ReportAbout, renderPage, type Section, table } from "./page.ts";
import { accuracySection } from "./sections/accuracy.ts";
import { conditionsSection } from "./sections/conditions.ts";
import { latencySection } from "./sections/latency.ts";
import { measuredTargets } from "./sections/saturation.ts";
import { sizeSection } from "./sections/size.ts";
import { samplesSentence, verdictBox } from "./sections/verdict.ts";

export interface DoctorReport extends ReportAbout {
  readonly path: string;
  readonly groups: readonly DoctorGroup[];
  readonly machine: Machine;
  /** By path, of the files that could be read. */
  readonly saturation?: ReadonlyMap<string, SaturationScan>;
}

export function renderDoctorReport(data: DoctorReport): string {
  const { groups, machine, path } = data;
  const files = groups.flatMap(filesOf);
  const unusable = files.filter(({ usable }) => !usable);
  const minded = files.filter(({ usable, problems }) => usable && problems.length > 0);
  const ok = unusable.length === 0;
  const counts = [
    `${files.length} ${files.length === 1 ? "file" : "files"} in ${groups.length} ${groups.length === 1 ? "family" : "families"}`,
    ok ? "every one is usable" : `${unusable.length} cannot be used`,
    ...(minded.length > 0 ? [`${minded.length} could be better`] : []),
  ];
  const sentence = `${counts.join("; ")}. ${provenText(groups)}`;
  const problems = [...unusable, ...minded].map((file) => `${fileName(file.path)}: ${problemText(file).join("; ")}`);
  return renderPage({
    title: `${fileName(path)}: ${ok ? "usable" : "not usable"}`,
    command: "doctor",
    heading: name(path),
    lead: verdictBox(ok, ok ? "Every file is usable" : "Some files cannot be used", sentence, problems),
    sections: [
      ...groups.flatMap((group, index) => familySections(group, groups.length > 1 ? index + 1 : undefined)),
      saturation(data),
      conditionsSection(groups[0]?.targets ?? [], machine, data, [["path", path]]),
    ],
    about: data,
  });
}

function filesOf(group: DoctorGroup): DoctorFile[] {
  return [group.original, ...group.others];
}

/** What the judgements rest on. */
function provenText(groups: readonly DoctorGroup[]): string {
  const targets = new Map(groups.flatMap((group) => group.targets.map((result) => [result.target, verdictOf(result)])));
  const verdicts = [...targets].map(([target, verdict]) => `${target}: ${verdict}`).join(", ");
  return `${verdicts}. ${samplesSentence(groups[0]?.targets ?? [])}`;
}

function problemText({ problems }: DoctorFile): string[] {
  return problems.map(({ targets, text }) => `${text}${targets.length > 0 ? ` (${targets.join(", ")})` : ""}`);
}

function familySections(group: DoctorGroup, number: number | undefined): (Section | undefined)[] {
  const label = fileName(group.original.path);
  const suffix = number === undefined ? "" : `-${number}`;
  const rename = (section: Section | undefined): Section | undefined =>
    section && {
      ...section,
      id: `${section.id}${suffix}`,
      title: number === undefined ? section.title : `${section.title}: ${label}`,
    };
  const sized = filesOf(group).map(({ path, byteLength }) => ({ label: fileName(path), byteLength }));
  return [
    { id: `files${suffix}`, title: number === undefined ? "Files" : `Files: ${label}`, body: fileTable(group) },
    rename(accuracySection(group.targets)),
    rename(sizeSection(sized)),
    rename(latencySection(group.targets)),
  ];
}

function fileTable(group: DoctorGroup): Html {
  const run = group.targets.filter(({ notRunHere }) => notRunHere === undefined);
  const speed = (file: DoctorFile, target: string): string => {
    const measured = file.perTarget[target];
    if (measured?.error !== undefined) return `does not ${measured.error.stage}`;
    return measured === undefined ? "" : speedText(measured) || "runs";
  };
  const agreement = (file: DoctorFile): string => {
    const first = run.map(({ target }) => file.perTarget[target]).find((entry) => entry?.outputs !== undefined);
    return first === undefined ? "" : agreementText(first);
  };
  const rows = filesOf(group).map((file): Part[] => [
    name(fileName(file.path)),
    verdict(file, file === group.original),
    `${formatBytes(file.byteLength)}${file.ratio === undefined ? "" : `, ${formatRatio(file.ratio)}`}`,
    file === group.original ? "original" : agreement(file),
    ...run.map(({ target }) => speed(file, target)),
  ]);
  return html`${table(
    "Each file of the family",
    [
      { title: "file" },
      { title: "what was found", kind: "wide" },
      { title: "bytes", kind: "number" },
      { title: "agreement" },
      ...run.map(({ target }) => ({ title: target })),
    ],
    rows,
  )}${
    group.guessed &&
    html`<p class="note">Taken for copies of one model by inputs, outputs and number of weights, not by name: --original says which it is.</p>`
  }${group.others.length === 0 && html`<p class="note">There is no other file to compare it with.</p>`}`;
}

function verdict(file: DoctorFile, isOriginal: boolean): Html {
  const texts = problemText(file);
  if (!file.usable)
    return html`<span class="bad"><span class="tone">✗ cannot be used:</span></span> ${texts.join("; ")}`;
  if (texts.length > 0)
    return html`<span class="warn"><span class="tone">! usable, but</span></span> ${texts.join("; ")}`;
  return html`<span class="good"><span class="tone">✓ ${isOriginal ? "loads and runs" : "nothing wrong found"}</span></span>`;
}

function saturation({ saturation: scans, machine, groups }: DoctorReport): Section | undefined {
  const rows = [...(scans ?? [])].flatMap(([path, scan]) => {
    const note = saturationNote(scan, machine, measuredTargets(groups.flatMap(({ targets }) => targets)));
    return note === undefined ? [] : [[name(fileName(path)), note]];
  });
  if (rows.length === 0) return undefined;
  const caption = "Files whose products could saturate";
  const columns = [{ title: "file" }, { title: "note", kind: "wide" as const }];
  return { id: "saturation", title: "Saturation", body: table(caption, columns, rows) };
}
