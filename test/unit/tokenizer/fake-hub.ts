// A Hugging Face Hub on loopback with one repository, for tests without a network.
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeHub {
  url: string;
  sha: string;
  /** Paths fetched whole, in order. */
  fetched: string[];
  /** Bytes to send instead of a file's own. */
  damaged: Map<string, string>;
  /** When true every request fails with 503. */
  down: boolean;
  close(): Promise<void>;
}

function listing(files: Record<string, string>): unknown[] {
  return Object.entries(files).map(([path, text]) => {
    const size = Buffer.byteLength(text);
    const sha256 = createHash('sha256').update(text).digest('hex');
    const isLarge = path.endsWith('.safetensors');
    return {
      type: 'file',
      path,
      size,
      oid: createHash('sha1').update(text).digest('hex'),
      ...(isLarge ? { lfs: { oid: sha256, size, pointerSize: 100 } } : {}),
    };
  });
}

/** Starts a hub that holds `files` as `name` at revisions `main` and `step/10`. */
export async function startFakeHub(name: string, files: Record<string, string>): Promise<FakeHub> {
  const sha = 'a'.repeat(40);
  const revisions = [sha, 'main', 'step/10'];
  const state = { fetched: [] as string[], damaged: new Map<string, string>(), down: false };
  const sendJson = (response: ServerResponse, status: number, value: unknown): void => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  const sendFile = (request: IncomingMessage, response: ServerResponse, path: string): void => {
    const text = files[path];
    if (text === undefined) return sendJson(response, 404, { error: 'Entry not found' });
    const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
    const probe = range?.[1] === '0' && range[2] === '0';
    if (!probe) state.fetched.push(path);
    const bytes = Buffer.from(probe ? text : (state.damaged.get(path) ?? text));
    const part = range ? bytes.subarray(Number(range[1]), Number(range[2]) + 1) : bytes;
    response.writeHead(range ? 206 : 200, {
      etag: '"x"',
      'content-range': `bytes 0-${part.length - 1}/${Buffer.byteLength(text)}`,
      'content-length': part.length,
    });
    response.end(part);
  };
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url!, 'http://x').pathname);
    const api = `/api/models/${name}/`;
    const resolve = `/${name}/resolve/${sha}/`;
    if (state.down) sendJson(response, 503, { error: 'down' });
    else if (path === `${api}tree/${sha}`) sendJson(response, 200, listing(files));
    else if (revisions.some((revision) => path === `${api}revision/${revision}`)) {
      sendJson(response, 200, { _id: '1', id: name, sha });
    } else if (path.startsWith(resolve)) sendFile(request, response, path.slice(resolve.length));
    else sendJson(response, path.startsWith('/api/models/org/gated') ? 403 : 404, { error: 'no' });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  return Object.assign(state, {
    url: `http://127.0.0.1:${port}`,
    sha,
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  });
}
