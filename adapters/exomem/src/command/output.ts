/** Where a command writes: results to stdout, everything else to stderr. */
export class Output {
  readonly json: boolean;

  constructor(json: boolean) {
    this.json = json;
  }

  /** A line for people. */
  line(text = ''): void {
    process.stdout.write(`${text}\n`);
  }

  /** A line beside the results. */
  note(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  /** A value for programs, one a line. Words and times of 64 bits are strings. */
  value(value: unknown): void {
    process.stdout.write(
      `${JSON.stringify(value, (_, field) => (typeof field === 'bigint' ? String(field) : field))}\n`,
    );
  }

  /** The bytes of a file; returns when there is room for more. */
  bytes(bytes: Uint8Array): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      process.stdout.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Columns, aligned: text to the left, numbers (columns in `right`) to the right. */
  table(rows: readonly (readonly string[])[], right: readonly number[] = []): void {
    for (const line of columnsOf(rows, right)) this.line(line);
  }
}

/** Rows as lines, their cells below each other: text to the left, columns in `right` to the right. */
export function columnsOf(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  return rows.map((row) => {
    const cells = row.map((cell, at) => (right.includes(at) ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)));
    return cells.join('  ').trimEnd();
  });
}

/** Whether a stream shows colours: not into files, not with NO_COLOR. */
function coloured(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && stream.hasColors();
}

const styles = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [34, 39],
  magenta: [35, 39],
  cyan: [36, 39],
} as const;
export type Style = keyof typeof styles;

/** `text` in a style, where stdout shows colours. */
export function paint(style: Style, text: string): string {
  const [on, off] = styles[style];
  return coloured(process.stdout) ? `\x1b[${on}m${text}\x1b[${off}m` : text;
}

const control = /[\x00-\x1f\x7f-\x9f]/g;

/** A name that came from others: what would move the cursor or change the terminal is escaped. */
export function printable(name: string): string {
  return name.replace(control, (found) => `\\x${found.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
