//! The values that an ADB holds (apk-tools 3, src/adb.h), as they are written.
//!
//! A value is 32 bits: a type in the upper four, and a small number or the offset of the rest. Objects and lists are
//! a number of slots, itself counted, and their values; the last one is set. The same bytes are written once.

#[cfg(test)]
pub mod read;

use std::collections::HashMap;

const INT: u32 = 1;
const INT_32: u32 = 2;
const BLOB_8: u32 = 8;
const BLOB_16: u32 = 9;
const BLOB_32: u32 = 10;
/// Lists too: how long they are says as much.
const OBJECT: u32 = 14;
const OFFSET: u32 = 0x0fff_ffff;

/// Compatibility level and version, none of which has been used, and the root.
const HEADER: usize = 8;

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Null,
    Int(u32),
    Blob(Vec<u8>),
    /// An object's values by their field, from 1, or a list's in order.
    Slots(Vec<Value>),
}

impl Value {
    /// A text, or nothing if it is empty.
    pub fn text(text: &str) -> Value {
        Value::Blob(text.as_bytes().to_vec())
    }

    /// The bytes of a blob; none of what is none.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Value::Blob(bytes) => bytes,
            _ => &[],
        }
    }
}

/// An ADB that is being written.
pub struct Writer {
    bytes: Vec<u8>,
    seen: HashMap<(usize, Vec<u8>), u32>,
}

/// What was written, to be put into what is written after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written(u32);

impl Writer {
    /// An empty one.
    pub fn new() -> Writer {
        Writer { bytes: vec![0; HEADER], seen: HashMap::new() }
    }

    /// Writes a value with all that is in it.
    pub fn value(&mut self, value: &Value) -> Written {
        match value {
            Value::Null => Written(0),
            Value::Int(number) if *number <= OFFSET => Written(INT << 28 | number),
            Value::Int(number) => self.put(INT_32, 4, number.to_le_bytes().to_vec()),
            Value::Blob(bytes) => self.blob(bytes),
            Value::Slots(slots) => {
                let slots: Vec<Written> = slots.iter().map(|slot| self.value(slot)).collect();
                self.slots(&slots)
            }
        }
    }

    fn blob(&mut self, bytes: &[u8]) -> Written {
        let (kind, prefix) = match bytes.len() {
            0 => return Written(0),
            length @ ..0x100 => (BLOB_8, vec![length as u8]),
            length @ ..0x1_0000 => (BLOB_16, (length as u16).to_le_bytes().to_vec()),
            length => (BLOB_32, (length as u32).to_le_bytes().to_vec()),
        };
        let align = prefix.len();
        self.put(kind, align, [&prefix, bytes].concat())
    }

    /// Writes an object or a list of what is written already.
    pub fn slots(&mut self, slots: &[Written]) -> Written {
        let used = slots.iter().rposition(|slot| *slot != Written(0)).map_or(0, |last| last + 1);
        if used == 0 {
            return Written(0);
        }
        let mut bytes = (used as u32 + 1).to_le_bytes().to_vec();
        slots.iter().take(used).for_each(|slot| bytes.extend(slot.0.to_le_bytes()));
        self.put(OBJECT, 4, bytes)
    }

    fn put(&mut self, kind: u32, align: usize, bytes: Vec<u8>) -> Written {
        let key = (align, bytes);
        if let Some(offset) = self.seen.get(&key) {
            return Written(kind << 28 | offset);
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(align), 0);
        let offset = self.bytes.len() as u32;
        self.bytes.extend(&key.1);
        self.seen.insert(key, offset);
        Written(kind << 28 | offset)
    }

    /// The whole, with this as its root.
    pub fn finish(mut self, root: Written) -> Vec<u8> {
        self.bytes[4..HEADER].copy_from_slice(&root.0.to_le_bytes());
        self.bytes
    }
}

/// Puts other bytes of the same length in the place of a blob of up to 255.
pub fn set_blob(adb: &mut [u8], blob: Written, bytes: &[u8]) {
    let at = (blob.0 & OFFSET) as usize + 1;
    adb[at..at + bytes.len()].copy_from_slice(bytes);
}
