//! Words of a UCI file: quotes, backslashes, comments, lines that go on.

use super::SyntaxError;

/// A word with its quotes and backslashes resolved.
pub struct Word {
    /// The bytes of the word; empty when the statement has no further word.
    pub text: Vec<u8>,
    /// The line it begins on, from 1.
    pub line: usize,
}

/// A place in the file.
pub struct Cursor<'a> {
    rest: &'a [u8],
    line: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `input`.
    pub fn new(input: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: input, line: 1 }
    }

    /// The first word of the next statement, as it stands there, with its line; `None` at the end.
    ///
    /// It must be bare and end with a space or a tab: `'config'` is no keyword.
    pub fn keyword(&mut self) -> Option<(&'a [u8], usize)> {
        loop {
            if self.peek() == Some(0) {
                self.skip_line();
                continue;
            }
            self.skip_blanks();
            match self.peek()? {
                b'\n' | b'#' => self.skip_line(),
                _ => break,
            }
        }
        let end = self.rest.iter().position(|b| matches!(b, b' ' | b'\t' | b'\n')).unwrap_or(self.rest.len());
        let (keyword, rest) = self.rest.split_at(end);
        self.rest = rest;
        let ends_line = matches!(self.peek(), None | Some(b'\n'));
        Some((if ends_line { keyword.trim_ascii_end() } else { keyword }, self.line))
    }

    /// The next word of the statement.
    ///
    /// # Errors
    /// A quote that is never closed.
    pub fn word(&mut self) -> Result<Word, SyntaxError> {
        self.skip_blanks();
        let mut word = Word { text: Vec::new(), line: self.line };
        while let Some(byte) = self.peek() {
            if word.text.is_empty() {
                word.line = self.line;
            }
            match byte {
                // A line that begins with NUL reads as empty, also where a line goes on there.
                0 | b'\n' | b'#' | b';' => break,
                _ if is_blank(byte) => break,
                b'\'' => self.single_quoted(&mut word.text)?,
                b'"' => self.double_quoted(&mut word.text)?,
                b'\\' => self.backslash(&mut word.text),
                _ => word.text.extend(self.take()),
            }
        }
        Ok(word)
    }

    /// The number of the line at hand; `None` at the end.
    pub fn line_ahead(&self) -> Option<usize> {
        self.peek().map(|_| self.line)
    }

    /// Takes the next byte if it is one of these.
    pub fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        self.peek().filter(|byte| bytes.contains(byte))?;
        self.take()
    }

    /// Goes to the start of the next line; what is left of this one is not looked at.
    pub fn skip_line(&mut self) {
        while !matches!(self.take(), None | Some(b'\n')) {}
    }

    fn single_quoted(&mut self, text: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let line = self.line;
        self.take();
        loop {
            match self.take() {
                Some(b'\'') => return Ok(()),
                None | Some(0) => {
                    return Err(SyntaxError::new(line, "unterminated single quote", "a closing '"));
                }
                byte => text.extend(byte),
            }
        }
    }

    fn double_quoted(&mut self, text: &mut Vec<u8>) -> Result<(), SyntaxError> {
        let line = self.line;
        self.take();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.take();
                    return Ok(());
                }
                None | Some(0) => {
                    return Err(SyntaxError::new(line, "unterminated double quote", "a closing \""));
                }
                Some(b'\\') => self.backslash(text),
                Some(_) => text.extend(self.take()),
            }
        }
    }

    /// A backslash joins this line with the next one, or takes the next byte as it is: `\n` is n.
    fn backslash(&mut self, text: &mut Vec<u8>) {
        self.take();
        if self.rest.starts_with(b"\r\n") {
            self.take();
        }
        match self.take() {
            Some(b'\n') => {}
            byte => text.extend(byte),
        }
    }

    /// The end of a line is no blank here: it ends the statement.
    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.take();
        }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn take(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }
}

/// C's isspace, without the newline.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\x0b' | b'\x0c')
}
