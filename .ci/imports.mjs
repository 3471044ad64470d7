// Finds what a TypeScript or JavaScript source imports, without a parser: comments, and texts that are no specifier,
// are blanked first, so that neither can look like an import.

/**
 * Static and dynamic imports, re-exports, `require` and `import('x').Type`; a dynamic import of something that is no
 * literal has no specifier.
 * @returns {{ line: number, specifier: string | undefined }[]}
 */
export function imports(source) {
  const { code, texts } = blank(source);
  const found = [];
  const add = (index, specifier) => found.push({ line: source.slice(0, index).split('\n').length, specifier });
  // In `code` a text is its two quotes around blanks; `texts` has what stood between them.
  const patterns = [
    /\bfrom\s*(['"])/g,
    /\bimport\s*(['"])/g,
    /\b(?:import|require(?:\.resolve)?|import\.meta\.resolve)\s*\(\s*(['"`])?/g,
  ];
  for (const pattern of patterns) {
    for (const match of code.matchAll(pattern)) {
      if (code[match.index - 1] === '.' || code[match.index - 1] === '#') continue;
      if (match[1] === undefined) {
        if (code.startsWith('import', match.index)) add(match.index, undefined);
        continue;
      }
      add(match.index, texts.get(match.index + match[0].length - 1));
    }
  }
  return found.sort((a, b) => a.line - b.line);
}

function blank(source) {
  const out = source.split('');
  const texts = new Map();
  const erase = (from, to) => {
    for (let i = from; i < to; i++) if (out[i] !== '\n') out[i] = ' ';
  };
  /** Depth of braces at which each open `${` ends. */
  const substitutions = [];
  let depth = 0;
  let at = 0;

  const template = (from) => {
    let i = from;
    while (i < source.length && source[i] !== '`') {
      if (source[i] === '\\') i += 2;
      else if (source.startsWith('${', i)) {
        erase(from, i);
        substitutions.push(depth);
        depth += 1;
        return i + 2;
      } else i += 1;
    }
    erase(from, i);
    return i + 1;
  };

  while (at < source.length) {
    const char = source[at];
    if (source.startsWith('//', at)) {
      const end = indexOr(source, '\n', at);
      erase(at, end);
      at = end;
    } else if (source.startsWith('/*', at)) {
      const end = indexOr(source, '*/', at + 2) + 2;
      erase(at, end);
      at = end;
    } else if (char === "'" || char === '"') {
      let end = at + 1;
      while (end < source.length && source[end] !== char && source[end] !== '\n') end += source[end] === '\\' ? 2 : 1;
      texts.set(at, source.slice(at + 1, end));
      erase(at + 1, end);
      at = end + 1;
    } else if (char === '`') {
      const end = template(at + 1);
      if (source[end - 1] === '`') texts.set(at, source.slice(at + 1, end - 1));
      at = end;
    } else if (char === '/' && beginsPattern(out, at)) {
      const end = patternEnd(source, at + 1);
      erase(at + 1, end);
      at = end + 1;
    } else {
      if (char === '{') depth += 1;
      if (char === '}') {
        depth -= 1;
        if (substitutions.at(-1) === depth) {
          substitutions.pop();
          at = template(at + 1);
          continue;
        }
      }
      at += 1;
    }
  }
  return { code: out.join(''), texts };
}

/** A slash begins a regular expression where a value may stand: not after a name, a number or a closing bracket. */
function beginsPattern(out, at) {
  let i = at - 1;
  while (i >= 0 && /\s/.test(out[i])) i -= 1;
  if (i < 0) return true;
  if (/[)\]}'"`]/.test(out[i])) return false;
  if (!/[\w$]/.test(out[i])) return true;
  const word = /[\w$]+$/.exec(out.slice(Math.max(0, i - 12), i + 1).join(''))?.[0];
  return ['return', 'typeof', 'case', 'in', 'of', 'delete', 'void', 'throw', 'yield', 'await'].includes(word);
}

function patternEnd(source, from) {
  let inClass = false;
  for (let i = from; i < source.length && source[i] !== '\n'; i++) {
    if (source[i] === '\\') i += 1;
    else if (source[i] === '[') inClass = true;
    else if (source[i] === ']') inClass = false;
    else if (source[i] === '/' && !inClass) return i;
  }
  return from;
}

function indexOr(source, text, from) {
  const index = source.indexOf(text, from);
  return index < 0 ? source.length : index;
}
