/**
 * @file Channel groups: the channels that one choice is made from. A channel is a class of ids, all that goes with it; a
 * group holds the channels that lie on exactly the same axes (a convolution's outputs; each part that a Split makes of them).
 */
import type { Dependencies, Source } from "./dependencies.ts";
import type { Obstacle } from "./ids.ts";

export interface Channel {
  /** The class of ids, see ChannelIds.find. */
  readonly id: number;
  /** Where it lies on the group's axis, ascending: several positions for a head, or for a group of a convolution. */
  readonly positions: readonly number[];
}

export interface ChannelGroup {
  /** The value on whose axis positions are counted: the first that has these channels. */
  readonly value: string;
  readonly axis: number;
  /** Size of that axis. */
  readonly size: number;
  /** Weights that make these channels, in the order of nodes. */
  readonly sources: readonly Source[];
  /** In the order of their positions. */
  readonly channels: readonly Channel[];
  /** Why none of them may go; undefined: they may. */
  readonly obstacle: Obstacle | undefined;
}

/** All groups that weights make, in the order of nodes. */
export function channelGroups(dependencies: Dependencies): ChannelGroup[] {
  const { ids, sources } = dependencies;
  const places = placesOf(dependencies);
  const groups = new Map<string, { sources: Set<Source>; channels: Map<number, number[]> }>();
  for (const source of sources) {
    const axis = dependencies.axes.get(source.output)?.[source.axis];
    if (axis === undefined) continue;
    axis.forEach((id, position) => {
      const channel = ids.find(id);
      const key = `${ids.obstacle(channel) === undefined}:${places.get(channel)!.join()}`;
      const group = groups.get(key) ?? { sources: new Set(), channels: new Map() };
      groups.set(key, group);
      group.sources.add(source);
      // Positions are those on the first source's axis.
      if (group.sources.values().next().value !== source) return;
      const positions = group.channels.get(channel) ?? [];
      positions.push(position);
      group.channels.set(channel, positions);
    });
  }
  return [...groups.values()].map((group) => {
    const [first] = group.sources;
    const channels = [...group.channels].map(([id, positions]) => ({ id, positions }));
    return {
      value: first!.output.name,
      axis: first!.axis,
      size: dependencies.axes.get(first!.output)![first!.axis]!.length,
      sources: [...group.sources],
      channels,
      obstacle: ids.obstacle(channels[0]!.id),
    };
  });
}

/** The axes on which each class lies, by number. */
function placesOf({ ids, axes, vectors }: Dependencies): ReadonlyMap<number, readonly number[]> {
  const places = new Map<number, number[]>();
  const seen = new Set<Int32Array>();
  for (const list of [axes.values(), vectors.map((use) => use.axes)]) {
    for (const own of list) {
      for (const axis of own) {
        if (axis === undefined || seen.has(axis)) continue;
        const number = seen.size;
        seen.add(axis);
        for (const id of axis) {
          const channel = ids.find(id);
          const known = places.get(channel);
          if (known === undefined) places.set(channel, [number]);
          else if (known.at(-1) !== number) known.push(number);
        }
      }
    }
  }
  return places;
}
