/**
 * @file What calibration found out, taken out of a prepared model and put into another one of the same model: calibrating
 * takes most of the time of static quantization, and does not depend on which nodes are chosen, in which form, or for
 * which target.
 */
import type { Value } from "../../graph/value.ts";
import { OptionError } from "../../util/errors.ts";
import { createObserver, restoreObserver } from "../observers/list.ts";
import type { Observer, ObserverState } from "../observers/observer.ts";
import type { Statistics } from "../observers/statistics.ts";
import { DEFAULT_OBSERVER } from "./options.ts";
import type { Prepared } from "./prepare.ts";

/** The observers of a prepared model as plain values. @param model a hash of the model's file. @param data its name. */
export function takeStatistics(
  { observers, options, failed, rows }: Prepared,
  model: string,
  data?: string,
): Statistics {
  const stateOf = (value: Value, observer: Observer): ObserverState => {
    const { name, options: own } = observer.save();
    // What cannot be quantized stays so: as if no data had reached it.
    return failed.has(value) ? createObserver(name, own).save() : observer.save();
  };
  return {
    model,
    ...(data !== undefined && { data }),
    observer: options.observer === undefined || options.observer === "auto" ? DEFAULT_OBSERVER : options.observer,
    values: new Map([...observers].map(([value, observer]) => [value.name, stateOf(value, observer)])),
    rows: rows.save(),
  };
}

/**
 * Continues from saved statistics, under the schemes of the prepared model.
 * @param model the hash of the model at hand.
 * @returns The observed values that they do not have, or that another kind of observer saw: those need calibration.
 * @throws OptionError for statistics of another model.
 */
export function useStatistics(prepared: Prepared, statistics: Statistics, model: string, source: string): Value[] {
  if (statistics.model !== model) {
    throw new OptionError({
      area: "quantize",
      subject: source,
      problem: `expected statistics of this model (${model}), got those of another one (${statistics.model})`,
      help: "Name another file: statistics that are not there yet are made and saved.",
    });
  }
  prepared.rows.restore(statistics.rows ?? new Map());
  return continueFrom(prepared, (value) => statistics.values.get(value.name));
}

/**
 * Takes over what another prepared model of the same file has seen, sampled rows included.
 * @returns The observed values that it does not have, or that another kind of observer saw.
 */
export function adoptCalibration(prepared: Prepared, from: Prepared): Value[] {
  const states = new Map([...from.observers].map(([value, observer]) => [value.name, observer]));
  const failures = new Map([...from.failed].map(([value, reason]) => [value.name, reason]));
  for (const value of prepared.observers.keys()) {
    const reason = failures.get(value.name);
    if (reason !== undefined) prepared.failed.set(value, reason);
  }
  prepared.rows.adopt(from.rows);
  prepared.samples = from.samples;
  const unwatched = prepared.auto.adopt(from.auto);
  return [...new Set([...unwatched, ...continueFrom(prepared, (value) => states.get(value.name)?.save())])];
}

function continueFrom(prepared: Prepared, find: (value: Value) => ObserverState | undefined): Value[] {
  const missing: Value[] = [];
  let samples = 0;
  for (const [value, observer] of prepared.observers) {
    const state = find(value);
    if (state === undefined || !sameKind(state, observer)) {
      missing.push(value);
      continue;
    }
    const scheme = prepared.schemes.get(value)!;
    prepared.observers.set(value, restoreObserver({ ...state, options: { ...state.options, scheme } }));
    samples = Math.max(samples, state.count);
  }
  prepared.samples = Math.max(prepared.samples, samples);
  return missing;
}

function sameKind({ name, options }: ObserverState, observer: Observer): boolean {
  const wanted = observer.save().options;
  const kind = ({ axis, averagingConstant, percentile, bins }: typeof wanted): string =>
    [axis, averagingConstant, percentile, bins].join();
  return name === observer.name && kind(options) === kind(wanted);
}
