import { paint } from '../command/output.js';
import type { ViewLine } from './view.js';

const enter = '\x1b[?1049h\x1b[?25l';
const leave = '\x1b[?25h\x1b[?1049l';

/** The whole terminal, for as long as something is shown on it; what was there before comes back under any exit. */
export class Screen implements Disposable {
  readonly #onKey: (key: string) => void;
  readonly #restore = (): void => void process.stdout.write(leave);
  #over = false;

  /** @param onKey hears of every key; Ctrl-C is `\x03`. */
  constructor(onKey: (key: string) => void) {
    this.#onKey = onKey;
    process.once('exit', this.#restore);
    process.stdout.write(enter);
    if (process.stdin.isTTY) {
      process.stdin.setRawMode(true);
      process.stdin.on('data', this.#keys).resume();
    }
  }

  readonly #keys = (bytes: Buffer): void => {
    for (const key of bytes.toString('latin1')) this.#onKey(key);
  };

  /** Draws from the top; lines that are too long are cut, and those that are too many left out. */
  draw(lines: readonly ViewLine[]): void {
    const { columns = 80, rows = 24 } = process.stdout;
    let text = '\x1b[H';
    for (const [at, { text: line, look }] of lines.slice(0, rows).entries()) {
      const cut = [...line].slice(0, columns).join('');
      text += `${at === 0 ? '' : '\n'}${styled(cut, look)}\x1b[K`;
    }
    process.stdout.write(`${text}\x1b[J`);
  }

  [Symbol.dispose](): void {
    if (this.#over) return;
    this.#over = true;
    if (process.stdin.isTTY) {
      process.stdin.setRawMode(false);
      process.stdin.off('data', this.#keys).pause();
    }
    process.off('exit', this.#restore);
    this.#restore();
  }
}

/** A line in the style that its look has. */
export function styled(text: string, look: ViewLine['look']): string {
  if (look === 'title') return paint('bold', text);
  if (look === 'alarm') return paint('red', text);
  return look === 'faint' ? paint('dim', text) : text;
}
