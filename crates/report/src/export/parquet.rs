//! A writer for Parquet, version 1 of the format: one row group, optional columns, PLAIN values, no
//! compression
//! (<https://parquet.apache.org/docs/file-format/>, metadata in Thrift's compact protocol).
//!
//! The crate `parquet` would enable features of crates that Burn uses, and so force a rebuild of
//! Burn.

use super::columns::{Columns, Data};

const MAGIC: &[u8; 4] = b"PAR1";
// Thrift compact types.
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;
// Parquet's physical types.
const BOOLEAN: i64 = 0;
const INT64: i64 = 2;
const DOUBLE: i64 = 5;
const BYTE_ARRAY: i64 = 6;
// Encodings.
const PLAIN: i64 = 0;
const RLE: i64 = 3;

/// The table as a Parquet file.
pub(crate) fn parquet(table: &Columns) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    let mut chunks: Vec<(usize, usize)> = Vec::new();
    for (_, data) in &table.columns {
        let (offset, page) = (file.len(), page(data));
        let mut header = Thrift::default();
        header.int(1, I32, 0);
        header.int(2, I32, page.len() as i64);
        header.int(3, I32, page.len() as i64);
        header.field(5, STRUCT);
        header.begin();
        header.int(1, I32, table.rows as i64);
        header.int(2, I32, PLAIN);
        header.int(3, I32, RLE);
        header.int(4, I32, RLE);
        header.end();
        header.stop();
        file.extend(header.bytes);
        file.extend(page);
        chunks.push((offset, file.len() - offset));
    }
    let footer = footer(table, &chunks);
    file.extend(&footer);
    file.extend((footer.len() as u32).to_le_bytes());
    file.extend(MAGIC);
    file
}

fn physical(data: &Data) -> i64 {
    match data {
        Data::Text(_) => BYTE_ARRAY,
        Data::Whole(_) => INT64,
        Data::Real(_) => DOUBLE,
        Data::Flag(_) => BOOLEAN,
    }
}

/// A data page: which values are present, then these values.
fn page(data: &Data) -> Vec<u8> {
    let (levels, values): (Vec<bool>, Vec<u8>) = match data {
        Data::Text(v) => {
            let mut bytes = Vec::new();
            for text in v.iter().flatten() {
                bytes.extend((text.len() as u32).to_le_bytes());
                bytes.extend(text.as_bytes());
            }
            (v.iter().map(Option::is_some).collect(), bytes)
        }
        Data::Whole(v) => (
            v.iter().map(Option::is_some).collect(),
            v.iter().flatten().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        Data::Real(v) => (
            v.iter().map(Option::is_some).collect(),
            v.iter().flatten().flat_map(|x| x.to_le_bytes()).collect(),
        ),
        Data::Flag(v) => {
            // Bit by bit, the least significant first.
            let there: Vec<bool> = v.iter().flatten().copied().collect();
            let byte = |bits: &[bool]| {
                bits.iter()
                    .rev()
                    .fold(0, |byte, bit| byte << 1 | u8::from(*bit))
            };
            (
                v.iter().map(Option::is_some).collect(),
                there.chunks(8).map(byte).collect(),
            )
        }
    };
    let levels = runs(&levels);
    let mut out = (levels.len() as u32).to_le_bytes().to_vec();
    out.extend(levels);
    out.extend(values);
    out
}

/// Definition levels of one bit, run-length encoded.
fn runs(levels: &[bool]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < levels.len() {
        let length = levels[at..]
            .iter()
            .take_while(|l| **l == levels[at])
            .count();
        varint(&mut out, (length as u64) << 1);
        out.push(u8::from(levels[at]));
        at += length;
    }
    out
}

fn footer(table: &Columns, chunks: &[(usize, usize)]) -> Vec<u8> {
    let mut t = Thrift::default();
    t.int(1, I32, 1);
    // The schema: a root, then the columns.
    t.list(2, STRUCT, table.columns.len() + 1);
    t.begin();
    t.binary(4, b"schema");
    t.int(5, I32, table.columns.len() as i64);
    t.end();
    for (name, data) in &table.columns {
        t.begin();
        t.int(1, I32, physical(data));
        // Optional.
        t.int(3, I32, 1);
        t.binary(4, name.as_bytes());
        if matches!(data, Data::Text(_)) {
            // UTF8, declared in the old and the new way.
            t.int(6, I32, 0);
            t.field(10, STRUCT);
            t.begin();
            t.field(1, STRUCT);
            t.begin();
            t.end();
            t.end();
        }
        t.end();
    }
    t.int(3, I64, table.rows as i64);
    t.list(4, STRUCT, 1);
    t.begin();
    t.list(1, STRUCT, table.columns.len());
    for ((name, data), (offset, size)) in table.columns.iter().zip(chunks) {
        t.begin();
        t.int(2, I64, *offset as i64);
        t.field(3, STRUCT);
        t.begin();
        t.int(1, I32, physical(data));
        t.list(2, I32, 2);
        t.zigzag(PLAIN);
        t.zigzag(RLE);
        t.list(3, BINARY, 1);
        t.bytes(name.as_bytes());
        // Uncompressed.
        t.int(4, I32, 0);
        t.int(5, I64, table.rows as i64);
        t.int(6, I64, *size as i64);
        t.int(7, I64, *size as i64);
        t.int(9, I64, *offset as i64);
        t.end();
        t.end();
    }
    t.int(2, I64, chunks.iter().map(|c| c.1 as i64).sum());
    t.int(3, I64, table.rows as i64);
    t.end();
    t.binary(
        6,
        concat!("largebatch-report ", env!("CARGO_PKG_VERSION")).as_bytes(),
    );
    t.stop();
    t.bytes
}

/// A writer of Thrift's compact protocol.
#[derive(Default)]
struct Thrift {
    bytes: Vec<u8>,
    last: i16,
    outer: Vec<i16>,
}

impl Thrift {
    fn field(&mut self, id: i16, kind: u8) {
        let delta = id - self.last;
        // Field ids increase, and never by more than 15.
        self.bytes.push(((delta as u8) << 4) | kind);
        self.last = id;
    }

    fn int(&mut self, id: i16, kind: u8, value: i64) {
        self.field(id, kind);
        self.zigzag(value);
    }

    fn zigzag(&mut self, value: i64) {
        varint(&mut self.bytes, ((value << 1) ^ (value >> 63)) as u64);
    }

    fn binary(&mut self, id: i16, value: &[u8]) {
        self.field(id, BINARY);
        self.bytes(value);
    }

    fn bytes(&mut self, value: &[u8]) {
        varint(&mut self.bytes, value.len() as u64);
        self.bytes.extend(value);
    }

    fn list(&mut self, id: i16, kind: u8, length: usize) {
        self.field(id, LIST);
        if length < 15 {
            self.bytes.push(((length as u8) << 4) | kind);
        } else {
            self.bytes.push(0xf0 | kind);
            varint(&mut self.bytes, length as u64);
        }
    }

    fn begin(&mut self) {
        self.outer.push(self.last);
        self.last = 0;
    }

    fn end(&mut self) {
        self.stop();
        self.last = self.outer.pop().unwrap_or(0);
    }

    fn stop(&mut self) {
        self.bytes.push(0);
    }
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
