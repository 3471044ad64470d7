// A small workspace with one violation in each file, which the check of layers must find.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { assert, suite } from '@exomem/testing';

interface Found {
  readonly line: number;
  readonly specifier: string | undefined;
}
const ci = new URL('../../../../.ci/', import.meta.url);
const { violations } = (await import(new URL('layers.mjs', ci).href)) as { violations(base: string): string[] };
const { imports } = (await import(new URL('imports.mjs', ci).href)) as { imports(source: string): Found[] };

const packages: Record<string, object> = {
  core: { name: '@exomem/core', dependencies: { rxjs: '*', lodash: '*', '@exomem/mount': '*' } },
  mount: { name: '@exomem/mount', dependencies: { '@exomem/core': '*', '@exomem/transport-tcp': '*', koffi: '*' } },
  'transports/tcp': {
    name: '@exomem/transport-tcp',
    dependencies: { '@exomem/core': '*', '@exomem/mount': '*' },
    devDependencies: { '@exomem/conformance': '*' },
  },
  conformance: { name: '@exomem/conformance', dependencies: { '@exomem/core': '*', 'fast-check': '*', uvu: '*' } },
  'adapters/exomem': { name: 'exomem', dependencies: { '@exomem/core': '*', '@exomem/mount': '*' } },
  'adapters/other': { name: 'other', dependencies: { '@exomem/core': '*', exomem: '*' } },
};

function violationsOf(sources: Record<string, string>): string[] {
  const base = mkdtempSync(join(tmpdir(), 'exomem-layers-'));
  const put = (path: string, text: string) => {
    mkdirSync(dirname(join(base, path)), { recursive: true });
    writeFileSync(join(base, path), text);
  };
  try {
    put(
      'pnpm-workspace.yaml',
      'packages:\n  - core\n  - transports/*\n  - adapters/*\n  - mount\n  - conformance\n  - core/inner\n\nx: y\n',
    );
    for (const [folder, manifest] of Object.entries(packages)) put(`${folder}/package.json`, JSON.stringify(manifest));
    for (const [path, text] of Object.entries(sources)) put(path, text);
    return violations(base);
  } finally {
    rmSync(base, { recursive: true });
  }
}

const layers = suite('layers');

const forbidden: [path: string, source: string, complaint: RegExp][] = [
  ['core/src/a.ts', "import '@exomem/mount';", /core\/src\/a\.ts:1: core may not import '@exomem\/mount'/],
  ['core/src/a.ts', "\nimport { readFileSync } from 'node:fs';", /a\.ts:2: core has no I\/O: 'node:fs'/],
  ['core/src/a.ts', "import { once } from 'events';", /core has no I\/O: 'events'/],
  ['core/src/a.ts', "import map from 'lodash/map';", /core may not import 'lodash'/],
  ['core/src/a.ts', "import { x } from '../test/x.js';", /'\.\.\/test\/x\.js' leads out of core\/src/],
  ['mount/src/a.ts', "import { tcp } from '@exomem/transport-tcp';", /mount may not import '@exomem\/transport-tcp'/],
  ['mount/src/a.ts', "export type { T } from '@exomem/transport-tcp';", /mount may not import/],
  ['mount/src/a.ts', "type T = import('@exomem/transport-tcp').T;", /mount may not import/],
  ['mount/src/a.ts', "const t = await import('@exomem/transport-tcp');", /mount may not import/],
  ['mount/src/a.ts', "const t = require('@exomem/transport-tcp');", /mount may not import/],
  ['mount/src/a.ts', 'const t = await import(name);', /imports what no reader can tell/],
  ['mount/src/a.ts', "import { x } from '../../core/src/x.js';", /leads out of mount\/src/],
  ['mount/test/a.ts', "import { x } from '../../core/src/x.js';", /leads out of mount/],
  ['mount/src/a.ts', "import rxjs from 'rxjs';", /'rxjs' is not among the dependencies in mount\/package\.json/],
  ['mount/test/a.ts', "import rxjs from 'rxjs';", /'rxjs' is not among the dependencies/],
  ['transports/tcp/src/a.ts', "import '@exomem/mount';", /transports\/tcp may not import '@exomem\/mount'/],
  ['transports/tcp/src/a.ts', "import '@exomem/conformance';", /not among the dependencies/],
  ['conformance/src/a.ts', "import 'uvu';", /conformance may not import 'uvu'/],
  ['adapters/other/src/a.ts', "import 'exomem';", /adapters\/other may not import 'exomem'/],
];
for (const [path, source, complaint] of forbidden) {
  layers(`refuse in ${path}: ${source.trim()}`, () => {
    const found = violationsOf({ [path]: source });
    assert.is(found.length, 1, found.join('\n'));
    assert.match(found[0]!, complaint);
  });
}

layers('let pass what follows the arrows', () => {
  const found = violationsOf({
    'core/src/a.ts': "import { Subject } from 'rxjs';\nimport { b } from './deep/b.js';",
    'core/src/deep/b.ts': "import { a } from '../a.js';",
    'mount/src/a.ts': "import koffi from 'koffi';\nimport '@exomem/core';\nimport { openSync } from 'node:fs';",
    'conformance/src/a.ts': "import fc from 'fast-check';\nimport '@exomem/core';",
    'adapters/exomem/src/a.ts': "import '@exomem/mount';\nconst users = await import(name);",
    'transports/tcp/test/a.test.ts': "import '@exomem/conformance';\nimport '../src/a.js';",
  });
  assert.equal(found, []);
});

layers('refuse a package that no rule knows', () => {
  const found = violationsOf({ 'core/inner/package.json': '{"name":"inner"}', 'core/inner/src/a.ts': '' });
  assert.equal(found, ['core/inner: no rule in .ci/layers.mjs says what it may import']);
});

layers('hold a new transport to the rule of transports', () => {
  const manifest = JSON.stringify({ name: 'new', dependencies: { '@exomem/mount': '*' } });
  const found = violationsOf({
    'transports/new/package.json': manifest,
    'transports/new/src/a.ts': "import '@exomem/mount';",
  });
  assert.match(found.join('\n'), /^transports\/new\/src\/a\.ts:1: transports\/new may not import '@exomem\/mount'/);
});
layers.run();

const scanner = suite('imports');
const specifiers = (source: string) => imports(source).map((found) => found.specifier);

scanner('are found in every form', () => {
  assert.equal(specifiers("import a from 'a';\nimport type { B } from \"b\";\nimport 'c';\nexport * from 'd';"), [
    'a',
    'b',
    'c',
    'd',
  ]);
  assert.equal(specifiers("import {\n  a,\n  b,\n} from 'a';"), ['a']);
  assert.equal(specifiers("import(`a`); import( 'b' ); require('c'); require.resolve('d'); createRequire(u)('e')"), [
    'a',
    'b',
    'c',
    'd',
  ]);
  assert.equal(imports("\n\nimport 'a';"), [{ line: 3, specifier: 'a' }]);
  assert.equal(specifiers('import(a); import(`a${b}`)'), [undefined, undefined]);
});
scanner('are not seen in comments, texts and patterns', () => {
  assert.equal(specifiers("// import 'a'\n/* import 'b' */ const c = \"import 'c'\";"), []);
  assert.equal(specifiers("const t = `import 'a' ${f(`import 'b'`)} from 'c'`;"), []);
  assert.equal(specifiers("const p = /['\"`]/g; import 'a'; const q = a / b; import 'c'; x = 1 / 2 / 3;"), ['a', 'c']);
  assert.equal(specifiers('/** @see {import("a")} */ import.meta.url; object.import("b"); Array.from("c");'), []);
});
scanner('are seen after what hides them badly', () => {
  assert.equal(specifiers("const t = `${{ a: '}' }.a}`; import 'a';"), ['a']);
  assert.equal(specifiers("const t = '\\''; import 'a';"), ['a']);
  assert.equal(specifiers("return /[/']/.test(x); import 'a';"), ['a']);
});
scanner.run();
