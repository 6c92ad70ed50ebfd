//! Rust source as tokens, and the paths that stand in it.
//!
//! Entry points: [`Source::read`] (a file), [`Source::parse`] (a snippet), [`Source::paths`] (what it names, resolved).
//!
//! Invariant: comments and the insides of strings are no tokens, so nothing that is only talked about is taken for used.
//! Not a parser: it knows as much of Rust as finding names takes, and no macro is expanded.

use std::path::Path;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A name or keyword, or a number.
    Word,
    /// Anything that is neither; `::`, `=>`, `..` and `..=` are one token each.
    Mark,
    /// A string or character, without its quotes.
    Text,
}

/// One token and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) line: usize,
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }
}

/// A path as it stands in the source: from `crate` if it is of this package, else from its first name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

/// One source file.
pub(crate) struct Source {
    /// From the package's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
}

impl Source {
    /// Every `.rs` file below a folder, in order.
    pub(crate) fn all(root: &Path, folder: &str) -> Vec<Self> {
        files(root, folder, "rs").iter().map(|path| Self::read(root, path)).collect()
    }

    pub(crate) fn read(root: &Path, path: &str) -> Self {
        let text = std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self::parse(path, &text)
    }

    pub(crate) fn parse(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), tokens: tokens(text) }
    }

    /// The module that the file is, from the crate's root.
    pub(crate) fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod" || (module.len() == 1 && (last == "lib" || last == "main"))) {
            module.pop();
        }
        module
    }

    /// The same without test modules: what stands below the first `#[cfg(test)] mod … {`.
    pub(crate) fn without_tests(&self) -> &[Token] {
        let tests = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
        let start = self.tokens.windows(tests.len() + 2).position(|window| {
            window.iter().zip(tests).all(|(token, text)| token.is(text)) && window.last().is_some_and(|last| last.is("{"))
        });
        start.map_or(&self.tokens, |start| &self.tokens[..start])
    }

    /// Everything the file names by a path or imports: groups opened, `self`, `super` and `$crate` resolved. A glob, and a
    /// crate under another name, end in `*`: they may be anything.
    pub(crate) fn paths(&self) -> Vec<Named> {
        let mut found = Vec::new();
        let mut module = self.module();
        let mut braces = Vec::new();
        let mut at = 0;
        while let Some(token) = self.tokens.get(at) {
            let next = |ahead: usize| self.tokens.get(at + ahead);
            let before = |back: usize| at.checked_sub(back).and_then(|at| self.tokens.get(at));
            match token.text.as_str() {
                "{" if token.kind == Kind::Mark => braces.push(None),
                "}" if token.kind == Kind::Mark && braces.pop().flatten().is_some() => {
                    module.pop();
                }
                "mod" if token.kind == Kind::Word && next(2).is_some_and(|brace| brace.is("{")) => {
                    let name = next(1).map(|name| name.text.clone());
                    module.extend(name.clone());
                    braces.push(name);
                    at += 2;
                }
                // Not the `use<'a>` of a return type.
                "use" if token.kind == Kind::Word && !next(1).is_some_and(|mark| mark.is("<")) => {
                    at = self.tree(at + 1, &[], &module, &mut found);
                    continue;
                }
                _ if token.kind == Kind::Word && next(1).is_some_and(|mark| mark.is("::")) => {
                    let inside = before(1).is_some_and(|mark| mark.is("::"))
                        && before(2).is_some_and(|head| head.kind == Kind::Word || head.is(">"));
                    let visibility = before(1).is_some_and(|word| word.is("in")) && before(2).is_some_and(|mark| mark.is("("));
                    let mut segments = vec![token.text.clone()];
                    let mut last = at;
                    while self.tokens.get(last + 1).is_some_and(|mark| mark.is("::")) {
                        match self.tokens.get(last + 2) {
                            Some(word) if word.kind == Kind::Word => segments.push(word.text.clone()),
                            _ => break,
                        }
                        last += 2;
                    }
                    if !inside && !visibility {
                        found.push(Named { segments: resolve(&segments, &module), line: token.line });
                    }
                    at = last;
                }
                _ => {}
            }
            at += 1;
        }
        found
    }

    /// Reads a `use` tree at a token and returns the token behind it.
    fn tree(&self, mut at: usize, prefix: &[String], module: &[String], found: &mut Vec<Named>) -> usize {
        let mut segments = prefix.to_vec();
        let mut end = |segments: &[String], line: usize| {
            if !segments.is_empty() {
                found.push(Named { segments: resolve(segments, module), line });
            }
        };
        while let Some(token) = self.tokens.get(at) {
            match token.text.as_str() {
                "," | "}" | ";" => {
                    end(&segments, token.line);
                    return at;
                }
                "*" => {
                    segments.push("*".to_owned());
                    end(&segments, token.line);
                    return at + 1;
                }
                "{" => {
                    at += 1;
                    while self.tokens.get(at).is_some_and(|token| !token.is("}")) {
                        at = self.tree(at, &segments, module, found);
                        if self.tokens.get(at).is_some_and(|token| token.is(",")) {
                            at += 1;
                        }
                    }
                    return at + 1;
                }
                "as" => {
                    if segments.len() == 1 && !["crate", "self", "super", "sgwarden"].contains(&segments[0].as_str()) {
                        segments.push("*".to_owned());
                    }
                    end(&segments, token.line);
                    return at + 2;
                }
                "self" if !prefix.is_empty() => {}
                _ if token.kind == Kind::Word => segments.push(token.text.clone()),
                _ => {}
            }
            at += 1;
        }
        at
    }
}

fn resolve(segments: &[String], module: &[String]) -> Vec<String> {
    let mut place = match segments.first().map(String::as_str) {
        Some("crate" | "sgwarden") => Vec::new(),
        Some("self" | "super") => module.to_vec(),
        _ => return segments.to_vec(),
    };
    for segment in segments {
        match segment.as_str() {
            "crate" | "sgwarden" | "self" => {}
            "super" => {
                place.pop();
            }
            name => place.push(name.to_owned()),
        }
    }
    std::iter::once("crate".to_owned()).chain(place).collect()
}

/// The files with an extension below a folder, from the root, with `/`, in order. Hidden ones are left out.
pub(crate) fn files(root: &Path, folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let path = format!("{folder}/{name}");
            if entry.path().is_dir() {
                folders.push(path);
            } else if entry.path().extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    let word = |c: char| c.is_alphanumeric() || c == '_';
    while let Some(&c) = chars.get(at) {
        let (start, first_line) = (at, line);
        let ahead = |n: usize| chars.get(at + n).copied().unwrap_or('\0');
        let (kind, text) = match c {
            '/' if ahead(1) == '/' => {
                at += chars[at..].iter().take_while(|c| **c != '\n').count();
                continue;
            }
            '/' if ahead(1) == '*' => {
                let mut depth = 0;
                while at < chars.len() {
                    match (chars[at], chars.get(at + 1)) {
                        ('/', Some('*')) => (depth, at) = (depth + 1, at + 1),
                        ('*', Some('/')) => (depth, at) = (depth - 1, at + 1),
                        ('\n', _) => line += 1,
                        _ => {}
                    }
                    at += 1;
                    if depth == 0 {
                        break;
                    }
                }
                continue;
            }
            _ if c.is_whitespace() => {
                line += usize::from(c == '\n');
                at += 1;
                continue;
            }
            '"' => quoted(&chars, &mut at, &mut line),
            '\'' if ahead(1) == '\\' || ahead(2) == '\'' => quoted(&chars, &mut at, &mut line),
            '\'' => {
                at += 1;
                continue; // a lifetime: its name is a word nobody looks for
            }
            _ if word(c) => {
                at += chars[at..].iter().take_while(|c| word(**c)).count();
                let name: String = chars[start..at].iter().collect();
                let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
                let quote = chars.get(at + hashes).copied();
                match name.as_str() {
                    "r" | "br" | "cr" if quote == Some('"') => raw(&chars, &mut at, &mut line, hashes),
                    "b" | "c" if hashes == 0 && matches!(quote, Some('"' | '\'')) => quoted(&chars, &mut at, &mut line),
                    "r" if hashes == 1 => {
                        at += 1;
                        continue; // r#name: the name follows
                    }
                    _ => (Kind::Word, name),
                }
            }
            _ => {
                let long = ["..=", "::", "=>", ".."].into_iter().find(|mark| mark.chars().zip(0..).all(|(c, n)| ahead(n) == c));
                let mark = long.map_or_else(|| c.to_string(), str::to_owned);
                at += mark.chars().count();
                (Kind::Mark, mark)
            }
        };
        found.push(Token { kind, text, line: first_line });
    }
    found
}

/// A string or character with escapes; `at` is on its first quote.
fn quoted(chars: &[char], at: &mut usize, line: &mut usize) -> (Kind, String) {
    let quote = chars[*at];
    let mut text = String::new();
    *at += 1;
    while let Some(&c) = chars.get(*at) {
        *line += usize::from(c == '\n');
        *at += 1;
        match c {
            '\\' => {
                *line += usize::from(chars.get(*at) == Some(&'\n'));
                text.extend([Some(c), chars.get(*at).copied()].into_iter().flatten());
                *at += 1;
            }
            _ if c == quote => break,
            _ => text.push(c),
        }
    }
    (Kind::Text, text)
}

/// A raw string; `at` is on its first hash or quote.
fn raw(chars: &[char], at: &mut usize, line: &mut usize, hashes: usize) -> (Kind, String) {
    let start = *at + hashes + 1;
    let ends = |end: usize| chars[end] == '"' && chars[end + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    let end = (start..chars.len()).find(|end| ends(*end)).unwrap_or(chars.len());
    let text: String = chars[start..end].iter().collect();
    *line += text.matches('\n').count();
    *at = end + 1 + hashes;
    (Kind::Text, text)
}
