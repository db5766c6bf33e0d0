import { BerthError, messageOf } from '../errors/error.ts';

/** What a committed snapshot consists of is gone or damaged: data_loss, with the number of the snapshot. */
export class LostSnapshot extends BerthError {
  readonly id: number;
  /** What is wrong with it. */
  readonly finding: string;

  constructor(id: number, cause: unknown) {
    super('data_loss', `snapshot ${id} is lost: ${messageOf(cause)}`, { cause });
    this.id = id;
    this.finding = messageOf(cause);
  }
}
