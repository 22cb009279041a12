//! Just enough of Rust's lexical rules to count lines and match braces.
//!
//! [`Code`] holds a file with comments, strings and character literals blanked out: what is left are
//! tokens, each still on its line. It does not parse: it knows `fn name … { … }` and
//! `#[cfg(test)] mod name { … }`, and nothing else.

/// One line of source after blanking.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The line with comments and the insides of literals replaced by spaces.
    pub(super) code: String,
    /// Whether the line holds anything but blanks and comments.
    pub(super) counts: bool,
}

/// A Rust file without comments and literals.
#[derive(Debug)]
pub(super) struct Code {
    lines: Vec<Line>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// Line of `fn`, from 1.
    pub(super) line: usize,
    /// Lines between the braces that are neither blank nor only comment.
    pub(super) body_lines: usize,
}

/// Where the scanner is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text { hashes: Option<usize> },
}

impl Code {
    /// Blanks out what is not code.
    pub(super) fn new(source: &str) -> Self {
        let chars: Vec<char> = source.chars().collect();
        let mut scanner =
            Scanner { chars: &chars, at: 0, inside: Inside::Code, lines: vec![Line::default()] };
        while scanner.at < chars.len() {
            scanner.step();
        }
        Self { lines: scanner.lines }
    }

    /// Lines outside inline test modules.
    pub(super) fn lines_without_tests(&self) -> usize {
        let total = self.lines.len() - usize::from(self.lines.last().is_some_and(is_empty));
        let mut in_tests = 0;
        let mut row = 0;
        while row < self.lines.len() {
            if self.lines[row].code.trim() == "#[cfg(test)]"
                && let Some(end) = self.inline_module_end(row + 1)
            {
                in_tests += end - row + 1;
                row = end;
            }
            row += 1;
        }
        total - in_tests
    }

    /// Every function that has a body, nested ones too.
    pub(super) fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for (row, line) in self.lines.iter().enumerate() {
            for (column, name) in function_names(&line.code) {
                if let Some((open, close)) = self.body(row, column) {
                    let body_lines =
                        self.lines[open..=close].iter().skip(1).filter(|line| line.counts).count();
                    // The line of the closing brace is not part of the body.
                    let body_lines = body_lines.saturating_sub(usize::from(close > open));
                    found.push(Function { name, line: row + 1, body_lines });
                }
            }
        }
        found
    }

    /// Last row of the inline module that starts at `row`, skipping further attributes.
    fn inline_module_end(&self, mut row: usize) -> Option<usize> {
        while self.lines.get(row)?.code.trim_start().starts_with("#[") {
            row += 1;
        }
        let code = self.lines.get(row)?.code.trim_start();
        let is_module = code.starts_with("mod ") || code.starts_with("pub(crate) mod ");
        if !is_module || code.trim_end().ends_with(';') {
            return None;
        }
        self.body(row, 0).map(|(_, close)| close)
    }

    /// Rows of the braces of the body that follows a position; `None` for a declaration.
    fn body(&self, row: usize, column: usize) -> Option<(usize, usize)> {
        let mut depth = 0_usize;
        let mut brackets = 0_usize;
        let mut open = None;
        for (at, line) in self.lines.iter().enumerate().skip(row) {
            let skip = if at == row { column } else { 0 };
            for symbol in line.code.chars().skip(skip) {
                match symbol {
                    '(' | '[' => brackets += 1,
                    ')' | ']' => brackets = brackets.saturating_sub(1),
                    ';' if depth == 0 && brackets == 0 => return None,
                    '{' => {
                        depth += 1;
                        open = open.or(Some(at));
                    }
                    '}' => {
                        depth = depth.checked_sub(1)?;
                        if depth == 0 {
                            return open.map(|open| (open, at));
                        }
                    }
                    _ => {}
                }
            }
        }
        None
    }
}

fn is_empty(line: &Line) -> bool {
    line.code.trim().is_empty()
}

/// Names after the word `fn`, with the column of the word.
fn function_names(code: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = code.chars().collect();
    let mut found = Vec::new();
    for column in 0..chars.len().saturating_sub(2) {
        let starts = column == 0 || !is_name(chars[column - 1]);
        if starts && chars[column] == 'f' && chars[column + 1] == 'n' && chars[column + 2] == ' ' {
            let name: String =
                chars[column + 3..].iter().take_while(|symbol| is_name(**symbol)).collect();
            if !name.is_empty() {
                found.push((column, name));
            }
        }
    }
    found
}

fn is_name(symbol: char) -> bool {
    symbol.is_alphanumeric() || symbol == '_'
}

/// Walks over the characters of a file.
struct Scanner<'a> {
    chars: &'a [char],
    at: usize,
    inside: Inside,
    lines: Vec<Line>,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    /// Takes `count` characters over as code or as blanks.
    fn take(&mut self, count: usize, as_code: bool) {
        for _ in 0..count {
            let symbol = self.peek(0);
            self.at += 1;
            let line = self.lines.last_mut().expect("there is always a last line");
            if symbol == '\n' {
                self.lines.push(Line::default());
                continue;
            }
            line.code.push(if as_code { symbol } else { ' ' });
            let in_text = matches!(self.inside, Inside::Text { .. });
            line.counts |= (as_code || in_text) && !symbol.is_whitespace();
        }
    }

    fn step(&mut self) {
        match self.inside {
            Inside::Code => self.step_code(),
            Inside::LineComment => {
                if self.peek(0) == '\n' {
                    self.inside = Inside::Code;
                }
                self.take(1, false);
            }
            Inside::BlockComment { depth } => match (self.peek(0), self.peek(1)) {
                ('/', '*') => {
                    self.inside = Inside::BlockComment { depth: depth + 1 };
                    self.take(2, false);
                }
                ('*', '/') => {
                    self.take(2, false);
                    self.inside = match depth {
                        1 => Inside::Code,
                        _ => Inside::BlockComment { depth: depth - 1 },
                    };
                }
                _ => self.take(1, false),
            },
            Inside::Text { hashes } => self.step_text(hashes),
        }
    }

    fn step_code(&mut self) {
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => self.inside = Inside::LineComment,
            ('/', '*') => {
                self.take(2, false);
                self.inside = Inside::BlockComment { depth: 1 };
            }
            ('"', _) => {
                self.inside = Inside::Text { hashes: None };
                self.take(1, false);
            }
            ('r', '"' | '#') if !self.after_name() => self.raw_text(),
            ('\'', _) => self.quote(),
            _ => self.take(1, true),
        }
    }

    /// Whether the character before belongs to a name, `b` and `c` of literals apart.
    fn after_name(&self) -> bool {
        let before = |back: usize| self.at.checked_sub(back).map_or(' ', |at| self.chars[at]);
        let prefix = matches!(before(1), 'b' | 'c') && !is_name(before(2));
        is_name(before(1)) && !prefix
    }

    fn raw_text(&mut self) {
        let hashes = (1..).take_while(|ahead| self.peek(*ahead) == '#').count();
        if self.peek(1 + hashes) == '"' {
            self.inside = Inside::Text { hashes: Some(hashes) };
            self.take(2 + hashes, false);
        } else {
            // A raw name such as r#type.
            self.take(1 + hashes, true);
        }
    }

    fn step_text(&mut self, hashes: Option<usize>) {
        match (hashes, self.peek(0)) {
            (None, '\\') => self.take(2, false),
            (None, '"') => {
                self.take(1, false);
                self.inside = Inside::Code;
            }
            (Some(hashes), '"') if (1..=hashes).all(|ahead| self.peek(ahead) == '#') => {
                self.take(1 + hashes, false);
                self.inside = Inside::Code;
            }
            _ => self.take(1, false),
        }
    }

    /// A character literal, or the tick of a lifetime or label.
    fn quote(&mut self) {
        let escaped = self.peek(1) == '\\';
        if escaped {
            let end = (3..).find(|ahead| matches!(self.peek(*ahead), '\'' | '\0' | '\n'));
            self.take(end.map_or(1, |end| end + 1), false);
        } else if self.peek(2) == '\'' {
            self.take(3, false);
        } else {
            self.take(1, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_in_comments_strings_and_characters_are_not_code() {
        let source = "fn a() {\n    let x = \"}\"; // }\n    let y = '}'; /* } */\n    let z = r#\"}\"#;\n}\nfn b<'a>(x: &'a str) {}\n";
        let functions = Code::new(source).functions();
        assert_eq!(functions.len(), 2);
        assert_eq!(functions[0], Function { name: "a".into(), line: 1, body_lines: 3 });
        assert_eq!(functions[1], Function { name: "b".into(), line: 6, body_lines: 0 });
    }

    #[test]
    fn comments_and_blank_lines_do_not_count_and_declarations_have_no_body() {
        let source = "trait T {\n    fn declared(&self) -> [u8; 4];\n    fn given(&self) {\n        // why\n\n        work();\n    }\n}\n";
        let functions = Code::new(source).functions();
        assert_eq!(functions, [Function { name: "given".into(), line: 3, body_lines: 1 }]);
    }

    #[test]
    fn inline_test_modules_are_left_out() {
        let source =
            "//! Head.\n\nfn a() {}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn t() {}\n}\n";
        assert_eq!(Code::new(source).lines_without_tests(), 4);
        let declared = "//! Head.\n\n#[cfg(test)]\nmod tests;\n";
        assert_eq!(Code::new(declared).lines_without_tests(), 4);
    }

    #[test]
    fn escaped_characters_and_raw_names_end_where_they_end() {
        let source =
            "fn a() {\n    let q = '\\'';\n    let u = '\\u{7d}';\n    let r#type = b'{';\n}\n";
        assert_eq!(Code::new(source).functions()[0].body_lines, 3);
    }
}
