//! A stream of text cut into lines, in bounded memory.

/// logd cuts its lines at about 1,000 bytes, and an event of ubus has a hundred.
const LONGEST: usize = 4096;

/// What has come of a line that has not ended yet.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    overlong: bool,
}

impl Lines {
    /// Takes from `input` to the end of a line, and gives that line without its end; `None` once nothing is left. A line
    /// of more than [`LONGEST`] bytes is passed over whole: its beginning may say something else than all of it.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Vec<u8>> {
        while let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            let (rest, after) = input.split_at(end);
            *input = after.get(1..).unwrap_or_default();
            self.keep(rest);
            let line = std::mem::take(&mut self.line);
            if !std::mem::take(&mut self.overlong) {
                return Some(line);
            }
        }
        self.keep(input);
        *input = &[];
        None
    }

    fn keep(&mut self, part: &[u8]) {
        self.overlong |= self.line.len() + part.len() > LONGEST;
        match self.overlong {
            true => self.line.clear(),
            false => self.line.extend_from_slice(part),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(parts: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for mut part in parts.iter().copied() {
            all.extend(std::iter::from_fn(|| lines.next(&mut part)));
        }
        assert!(lines.line.capacity() <= 4 * LONGEST);
        all
    }

    #[test]
    fn a_line_comes_whole_in_whatever_parts_and_an_overlong_one_not_at_all() {
        assert_eq!(lines(&[b"one\ntw", b"", b"o\n\nthr"]), [&b"one"[..], b"two", b""]);
        let long = [b'x'; LONGEST + 1];
        assert_eq!(lines(&[b"a\n", &long, b"y\nb\n"]), [b"a", b"b"]);
        assert_eq!(lines(&[&long[1..], b"\n"])[0].len(), LONGEST);
        assert_eq!(lines(&[&long, &long, &long]), [b""; 0]);
    }

    proptest! {
        /// However a text is cut, its lines are the same.
        #[test]
        fn cuts_make_no_difference(text in prop::collection::vec(prop::sample::select(&b"ab\n"[..]), 0..200), cut in 0usize..200) {
            let (before, after) = text.split_at(cut.min(text.len()));
            let mut whole: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
            whole.pop();
            prop_assert_eq!(lines(&[before, after]), whole);
        }
    }
}
