//! Reads what an ADB holds, for comparisons with what the real tools wrote.

use super::{BLOB_8, BLOB_16, BLOB_32, INT, INT_32, OBJECT, OFFSET, Value};
use crate::Result;

impl Value {
    /// The value of a field, from 1.
    pub fn slot(&self, field: usize) -> &Value {
        match self {
            Value::Slots(slots) => slots.get(field - 1).unwrap_or(&Value::Null),
            _ => &Value::Null,
        }
    }

    /// The values of a list; none of what is no list.
    pub fn slots(&self) -> &[Value] {
        match self {
            Value::Slots(slots) => slots,
            _ => &[],
        }
    }
}

/// Reads an ADB's root with all that is in it.
///
/// # Errors
/// Offsets beyond its end, types that packages do not have, values in values without end.
pub fn read(adb: &[u8]) -> Result<Value> {
    value(adb, number(adb, 4, 4)?, 0)
}

fn value(adb: &[u8], word: u32, depth: u32) -> Result<Value> {
    /// Packages have six.
    const DEEPEST: u32 = 16;
    if depth > DEEPEST {
        return Err("values in values without end".to_string());
    }
    let at = (word & OFFSET) as usize;
    let blob = |prefix| -> Result<Value> {
        let length = number(adb, at, prefix)? as usize;
        let bytes = adb.get(at + prefix..).and_then(|rest| rest.get(..length));
        bytes
            .map(|bytes| Value::Blob(bytes.to_vec()))
            .ok_or_else(|| format!("a blob beyond the end, at {at:#x}"))
    };
    match word >> 28 {
        0 => Ok(Value::Null),
        INT => Ok(Value::Int(word & OFFSET)),
        INT_32 => number(adb, at, 4).map(Value::Int),
        BLOB_8 => blob(1),
        BLOB_16 => blob(2),
        BLOB_32 => blob(4),
        OBJECT => {
            let count = number(adb, at, 4)? as usize;
            let slots = (1..count).map(|slot| value(adb, number(adb, at + 4 * slot, 4)?, depth + 1));
            slots.collect::<Result<Vec<Value>>>().map(Value::Slots)
        }
        kind => Err(format!("a value of type {kind:#x}")),
    }
}

/// A number of so many bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Result<u32> {
    let bytes = bytes.get(at..).and_then(|rest| rest.get(..length));
    let bytes =
        bytes.ok_or_else(|| format!("{length} bytes expected at {at:#x}, which is beyond the end"))?;
    Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}
