/**
 * @file What came out, in one sentence, and a card for each target.
 */
import { TARGETS } from "../../../runtime/targets.ts";
import { formatBytes, formatMilliseconds, formatRatio } from "../../../util/format.ts";
import type { Drop } from "../../drops.ts";
import type { FileMeasurement, TargetMeasurement } from "../../job.ts";
import { formatConfig, type Judgement, verdictOf } from "../../judge.ts";
import { agreementText, placementText, speedText } from "../../measurement-text.ts";
import { describeMetric } from "../../metric-text.ts";
import { type Compared, comparedFiles, dropsOf } from "../compared.ts";
import { type Html, html, type Part } from "../html.ts";

/** "0.29× the bytes (10.8 MB → 3.15 MB)". */
export function sizeSentence(before: number, after: number): string {
  return `${formatRatio(after / before)} the bytes (${formatBytes(before)} → ${formatBytes(after)})`;
}

/** "node-cpu: 2.14× faster, agrees with the original (proven)". */
export function targetSentence(result: TargetMeasurement, file?: FileMeasurement, judgement?: Judgement): string {
  const { target, notRunHere } = result;
  if (notRunHere !== undefined) return `${target}: not run here${rulesPhrase(result)}`;
  if (file === undefined) return `${target}: nothing was measured`;
  if (file.error !== undefined) return `${target}: does not ${file.error.stage}`;
  const { agreement } = judgement ?? {};
  const agrees = agreement && `${agreement} ${agreement === "differs" ? "from" : "with"} the original`;
  return `${target}: ${[speedPhrase(file), agrees].filter(Boolean).join(", ")} (${verdictOf(result)})`;
}

function rulesPhrase({ rules = [] }: TargetMeasurement): string {
  if (rules.length === 0) return "";
  const broken = rules.reduce((sum, rule) => sum + rule.broken.length, 0);
  return broken === 0
    ? ", its rules are kept"
    : `, its rules are broken in ${broken} ${broken === 1 ? "place" : "places"}`;
}

/** What stands against a target's files, each with the target's name. */
export function problemsOf(targets: readonly TargetMeasurement[], drops: readonly Drop[]): string[] {
  return [
    ...comparedFiles(targets).flatMap(({ result: { target }, judgement: { problems } }) =>
      problems.map((problem) => `${target}: ${problem}`),
    ),
    ...targets.flatMap((result) => (broken(result).length > 0 ? [`${result.target}: ${broken(result)[0]}`] : [])),
    ...drops.filter(({ ok }) => !ok).map(({ target, text }) => `${target}: ${text}`),
  ];
}

function broken({ rules = [] }: TargetMeasurement): readonly string[] {
  return rules.flatMap((rule) => rule.broken);
}

function speedPhrase({ latency }: FileMeasurement): string {
  if (latency?.ratio === undefined) return "loads and runs";
  const { median, low, high } = latency.ratio;
  if (latency.verdict === undefined) return `speed not judged (${formatRatio(median)})`;
  if (latency.verdict === "same") return `about as fast (${low.toFixed(2)}–${high.toFixed(2)}×)`;
  return latency.verdict === "faster" ? `${formatRatio(median)} faster` : `slower, ${formatRatio(median)} the speed`;
}

/** "Judged on 100 of your samples, evaluation() of samples.mjs." Empty where nothing was run. */
export function samplesSentence(targets: readonly TargetMeasurement[]): string {
  const texts = new Set(targets.flatMap((result) => (result.samples === undefined ? [] : [samplesText(result)])));
  if (texts.size === 0) return "";
  const generated = targets.some((result) => result.generated);
  return `Judged on ${[...texts].join("; ")}.${generated ? " What it answers to yours is not known." : ""}`;
}

function samplesText({ samples, generated, dataName, seenBefore }: TargetMeasurement): string {
  if (generated) return `${samples} generated inputs`;
  return `${samples} of your samples, ${dataName}${seenBefore ? ", which calibration has seen too" : ""}`;
}

/** "proven on 100 samples of samples.mjs". */
export function proofText(result: TargetMeasurement): string {
  const verdict = verdictOf(result);
  return result.samples === undefined ? verdict : `${verdict} on ${samplesText(result)}`;
}

/** @param ok undefined: nothing was checked. */
export function verdictBox(ok: boolean | undefined, word: string, sentence: Part, problems: readonly string[]): Html {
  const tone = ok === undefined ? "plain" : !ok ? "bad" : problems.length > 0 ? "warn" : "good";
  const mark = ok === undefined ? "○" : !ok ? "✗" : problems.length > 0 ? "!" : "✓";
  return html`<div class="verdict ${tone}">
<p><strong>${mark} ${word}${tone === "warn" && "; mind what is below"}</strong></p>
<p>${sentence}</p>
${problems.length > 0 && html`<ul>${problems.map((problem) => html`<li>${problem}</li>`)}</ul>`}
</div>
`;
}

const BADGES = {
  proven: { tone: "good", mark: "✓", about: "with your own samples" },
  "smoke-tested": {
    tone: "warn",
    mark: "◐",
    about: "with generated inputs: it loads and runs, its accuracy is unknown",
  },
  "not run here": { tone: "plain", mark: "○", about: "nothing was measured" },
} as const;

/** A card for each target; with several files, for each of them. */
export function targetCards(targets: readonly TargetMeasurement[], drops: readonly Drop[] = []): Html {
  const compared = comparedFiles(targets);
  const several = new Set(compared.map(({ file }) => file.name)).size > 1;
  const cards = targets.flatMap((result) => {
    const own = compared.filter((entry) => entry.result === result);
    if (own.length === 0) return [card(result, result.files[0], undefined, [], undefined)];
    return own.map((entry) =>
      card(result, entry.file, entry, dropsOf(drops, entry), several ? entry.file.name : undefined),
    );
  });
  return html`<div class="cards">${cards}</div>
`;
}

function card(
  result: TargetMeasurement,
  file: FileMeasurement | undefined,
  entry: Compared | undefined,
  drops: readonly Drop[],
  title: string | undefined,
): Html {
  const verdict = verdictOf(result);
  const { tone, mark, about } = BADGES[verdict];
  const findings = [...(entry?.judgement.problems ?? []), ...drops.filter(({ ok }) => !ok).map(({ text }) => text)];
  const kept = drops.filter(({ ok }) => ok).map(({ text }) => text);
  return html`<article class="card">
<h3>${result.target}${title !== undefined && html`: ${title}`} <span class="muted">${TARGETS[result.target].title}</span></h3>
<p class="badge"><span class="${tone}">${mark} ${verdict}</span></p>
<p class="note">${result.notRunHere ?? about}</p>
${(result.notes ?? []).map((note) => html`<p class="note">${note}</p>`)}${ruleList(result)}${file !== undefined && facts(file, entry)}${
  findings.length > 0 &&
  html`<ul class="findings bad">${findings.map((finding) => html`<li><span class="tone">Mind:</span> ${finding}</li>`)}</ul>`
}${kept.length > 0 && html`<ul class="findings good">${kept.map((text) => html`<li><span class="tone">Kept:</span> ${text}</li>`)}</ul>`}</article>
`;
}

/** Broken rules that a card shows; the rest is counted. */
const SHOWN_RULES = 5;

/** How a target's rules are kept, where nothing else is known. */
function ruleList({ rules = [] }: TargetMeasurement): Html[] {
  return rules.map(({ nodes, rules: kept, broken }) => {
    if (nodes === 0) return html`<p>Nothing in it is quantized.</p>`;
    if (broken.length === 0) return html`<p>${nodes} Q/DQ nodes keep its ${kept.length} rules.</p>`;
    const more = broken.length - SHOWN_RULES;
    return html`<ul class="findings bad">${broken
      .slice(0, SHOWN_RULES)
      .map(
        (text) => html`<li><span class="tone">Mind:</span> ${text}</li>`,
      )}${more > 0 && html`<li>and ${more} more</li>`}</ul>`;
  });
}

function facts(file: FileMeasurement, entry: Compared | undefined): Html | false {
  const { latency, peakMemory, config } = file;
  const before = entry?.original;
  const arrow = (from: number | undefined, to: number, format: (value: number) => string): string =>
    from === undefined ? format(to) : `${format(from)} → ${format(to)}`;
  const rows: [string, string][] = [];
  if (file.error !== undefined) rows.push(["error", `does not ${file.error.stage}: ${file.error.message}`]);
  if (entry !== undefined && speedText(file) !== "") rows.push(["speed", speedText(file)]);
  if (agreementText(file) !== "") rows.push(["agreement", agreementText(file)]);
  for (const metric of file.metrics ?? []) rows.push([metric.name, describeMetric(metric)]);
  if (latency !== undefined) rows.push(["latency p50", arrow(before?.latency?.p50, latency.p50, formatMilliseconds)]);
  if (peakMemory !== undefined) rows.push(["peak memory", arrow(before?.peakMemory, peakMemory, formatBytes)]);
  const onCpu = placementText(file, before);
  if (onCpu !== "") rows.push(["on the CPU", onCpu]);
  if (config !== undefined) rows.push(["load with", formatConfig(config)]);
  return rows.length > 0 && html`<dl>${rows.map(([term, text]) => html`<dt>${term}</dt><dd>${text}</dd>`)}</dl>`;
}
