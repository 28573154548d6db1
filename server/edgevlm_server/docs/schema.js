// Schemas of the description as they are shown: with everything in place that they refer to. Knows no elements.

export function resolved(schema, components, seen = []) {
  if (Array.isArray(schema)) return schema.map((one) => resolved(one, components, seen));
  if (schema === null || typeof schema !== "object") return schema;
  if (typeof schema.$ref === "string") {
    const name = schema.$ref.split("/").pop();
    return seen.includes(name) ? { "as above": name } : resolved(components[name], components, [...seen, name]);
  }
  return Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, resolved(value, components, seen)]));
}

// Whether a field of a form takes files.
export function takesFiles(schema) {
  return schema.format === "binary" || [schema.items, ...(schema.anyOf ?? [])].some((one) => one && takesFiles(one));
}
