/** Reads to the end what nobody looks at. @throws what the reading does */
export async function drain(steps: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of steps);
}
