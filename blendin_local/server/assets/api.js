// Requests to the server that the page came from. Nothing is ever sent anywhere else.

const KEY = "blendin.key";

export class ServerError extends Error {
  constructor(message, status) { super(message); this.status = status; }
}

// The key lives as long as the tab.
export const setKey = (key) => key ? sessionStorage.setItem(KEY, key) : sessionStorage.removeItem(KEY);
export const hasKey = () => sessionStorage.getItem(KEY) !== null;

async function send(path, body, signal) {
  const headers = {};
  if (body) headers["content-type"] = "application/json";
  if (hasKey()) headers.authorization = `Bearer ${sessionStorage.getItem(KEY)}`;
  const options = body ? { method: "POST", headers, body: JSON.stringify(body), signal } : { headers, signal };
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer. Is blendin serve still running?", 0);
  }
  if (!response.ok) {
    const text = await response.text();
    let message = text || response.statusText;
    try { message = JSON.parse(text).error.message; } catch { /* as it is */ }
    throw new ServerError(message, response.status);
  }
  return response;
}

export const getJson = async (path, signal) => (await send(path, null, signal)).json();
export const postJson = async (path, body, signal) => (await send(path, body, signal)).json();
export const getText = async (path) => (await send(path)).text();

// Calls onChunk with each object of a streamed reply, and onComment with each comment.
export async function stream(path, body, { signal, onChunk, onComment }) {
  const response = await send(path, body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      if (frame.startsWith(": ")) { onComment(frame.slice(2)); continue; }
      const data = frame.replace(/^data: /, "");
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ServerError(chunk.error.message, 200);
      onChunk(chunk);
    }
  }
}
