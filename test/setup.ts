/**
 * @file What vitest 5 expects of a Node newer than the oldest that we support.
 */
if (!("groupBy" in Map)) {
  Object.defineProperty(Map, "groupBy", {
    value: <K, T>(items: Iterable<T>, keyOf: (item: T, index: number) => K): Map<K, T[]> => {
      const groups = new Map<K, T[]>();
      let index = 0;
      for (const item of items) {
        const key = keyOf(item, index++);
        groups.set(key, [...(groups.get(key) ?? []), item]);
      }
      return groups;
    },
    configurable: true,
    writable: true,
  });
}
