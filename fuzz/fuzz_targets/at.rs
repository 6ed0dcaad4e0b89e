//! What a modem says on its AT port. The first byte is how many come at a time, the second where the port ends.
#![no_main]

use std::time::Duration;

use bsbf_fuzz::modem::FAMILIES;
use bsbf_fuzz::modem::at::{Client, LINE, Port};
use bsbf_fuzz::modem::dialogue::{Unknown, know, set, wake};
use embedded_io::{ErrorKind, ErrorType, Read, Write};
use libfuzzer_sys::fuzz_target;

struct Script<'a> {
    said: &'a [u8],
    size: usize,
    end: Result<usize, ErrorKind>,
    sent: usize,
}

impl ErrorType for Script<'_> {
    type Error = ErrorKind;
}

impl Read for Script<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ErrorKind> {
        if self.said.is_empty() {
            return self.end;
        }
        let (now, later) = self.said.split_at(self.size.min(buffer.len()).min(self.said.len()));
        buffer[..now.len()].copy_from_slice(now);
        self.said = later;
        Ok(now.len())
    }
}

impl Write for Script<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.sent += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Port for &mut Script<'_> {
    fn within(&mut self, _: Duration) {}
}

fuzz_target!(|input: &[u8]| {
    let [size, end, said @ ..] = input else { return };
    let end = if end % 2 == 0 { Err(ErrorKind::TimedOut) } else { Ok(0) };
    for family in [None, Some(FAMILIES[0]), Some(FAMILIES[1])] {
        let mut script = Script { said, size: usize::from(*size).max(1), end, sent: 0 };
        let mut client = Client::new(&mut script);
        let _ = wake(&mut client, Duration::from_secs(1));
        match know(&mut client, family, None, Duration::from_secs(1)) {
            Ok(known) => {
                assert!(known.name.len() <= LINE);
                let _ = set(&mut client, known.family, known.number);
            }
            Err(Unknown::Stranger(words) | Unknown::NoNumber(words)) => assert!(words.len() <= LINE),
            Err(Unknown::Trouble(trouble)) => assert!(!trouble.to_string().contains('\n')),
        }
        assert!(script.sent < 200, "a few orders, whatever it says");
    }
});
