import { type MessagePort, parentPort } from 'node:worker_threads';
import type { BodyAnswer, BodyRequest, ExchangeMessage } from './body-messages.ts';
import { Agents, exchange, type ResponseBody } from './exchange.ts';
import { transportMessage } from './failure.ts';
import { Pour, plainError } from './pour.ts';

/** The thread that asks for large bodies and takes them: TLS, HTTP and files, so that the event loop has none of it. */

const agents = new Agents();

parentPort?.on('message', (message: ExchangeMessage) => void serve(message));

async function serve({ request, patience, port }: ExchangeMessage): Promise<void> {
  const gone = new AbortController();
  port.once('close', () => gone.abort());
  const answer = (message: BodyAnswer, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
  try {
    const asked = { ...request, url: new URL(request.url) };
    const { status, headers, body } = await exchange(asked, agents.for(asked), gone.signal, patience);
    answer({ head: { status, headers, headersDistinct: body.headersDistinct } });
    obey(port, body, answer);
  } catch (error) {
    answer({ error: { ...plainError(error), message: transportMessage(error) } });
  }
}

function obey(
  port: MessagePort,
  body: ResponseBody,
  answer: (message: BodyAnswer, transfer?: ArrayBuffer[]) => void,
): void {
  let pour: Pour | undefined;
  const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  port.on('message', (request: BodyRequest) => {
    if ('read' in request) void read(chunks, answer);
    else if ('pour' in request) pour = new Pour(port, body, request.pour);
    else if ('end' in request) pour?.endAt(request.end);
    else pour?.stop({ reason: 'stopped' });
  });
}

async function read(
  chunks: AsyncIterator<Uint8Array>,
  answer: (message: BodyAnswer, transfer?: ArrayBuffer[]) => void,
): Promise<void> {
  try {
    const { done, value } = await chunks.next();
    if (done === true) return answer({ ended: true });
    // A copy of its own: cloning a view would clone all of the buffer under it.
    const chunk = Uint8Array.prototype.slice.call(value);
    answer({ chunk }, [chunk.buffer]);
  } catch (error) {
    answer({ error: plainError(error) });
  }
}
