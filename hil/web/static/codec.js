// Arrays as they travel: base64, most of them deflated (RFC 1950).

export function fromBase64(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

export async function inflated(text) {
  const stream = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The host is little-endian, as is every machine that a browser runs on today.
export async function inflatedInts(text) {
  return new Uint16Array((await inflated(text)).buffer);
}

export async function inflatedFloats(text) {
  return new Float64Array((await inflated(text)).buffer);
}
