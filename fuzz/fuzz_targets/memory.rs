//! The file that outlives a manager, as anyone may have left it.
#![no_main]

use bsbf_fuzz::wan::world::Memory;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // As it is read: a file that is no text is none of ours.
    let text = String::from_utf8_lossy(bytes);
    let memory = Memory::from_text(&text);
    let entries = memory.moved.len() + memory.endpoints.len();
    assert!(entries <= text.lines().count());
    let written = memory.to_text();
    assert_eq!(written.lines().count(), entries);
    assert_eq!(Memory::from_text(&written), memory);
    // What another line says, torn or of another version, costs no entry.
    assert_eq!(Memory::from_text(&format!("route wan 4 192.0\n{written}endpoint")), memory);
});
