import { contentStoreSuite } from '../content/content-store.suite.ts';
import { MetadataSubject } from './subject.suite.ts';

contentStoreSuite('content in the database and on disk', async () => {
  const subject = await MetadataSubject.open();
  return {
    store: subject.metadata.content,
    context: (namespace) => subject.context(namespace),
    restart: async () => (await subject.restart()).content,
    [Symbol.asyncDispose]: () => subject[Symbol.asyncDispose](),
  };
});
