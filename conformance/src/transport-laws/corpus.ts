import { readFileSync } from 'node:fs';

/** Where a failing case of a property is: fast-check finds it again by seed and path. */
export interface Found {
  readonly law: string;
  readonly seed: number;
  readonly path: string;
  /** What it convicted. */
  readonly note?: string;
}

/** The seeds that this package keeps under that name, in `corpus/NAME.json`. */
export function readCorpus(name: string): Found[] {
  return JSON.parse(readFileSync(new URL(`../../../corpus/${name}.json`, import.meta.url), 'utf8')) as Found[];
}

/** What EXOMEM_LAW, EXOMEM_SEED and EXOMEM_PATH ask for; undefined if they do not. */
export function replayFromEnvironment(environment: NodeJS.ProcessEnv): Found | undefined {
  const { EXOMEM_LAW: law, EXOMEM_SEED: seed, EXOMEM_PATH: path } = environment;
  if (law === undefined || seed === undefined) return undefined;
  return { law, seed: Number(seed), path: path ?? '' };
}

/** The variables that make {@link replayFromEnvironment} find it again, to be put before a command. */
export function replayVariables({ law, seed, path }: Found): string {
  return `EXOMEM_LAW=${law} EXOMEM_SEED=${seed} EXOMEM_PATH=${path}`;
}
