//! The eight tables of TPC-H: their rows as tpchgen makes them, in the text form of COPY.

use std::fmt::{Display, Write};

use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};

/// A chunk is handed on when it has grown to this many bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// One table of TPC-H.
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// A column that no query joins on: the key of [`super::Layout::WrongKey`]. The eight have
    /// different types, so that this layout also routes rows by every kind of key.
    pub(crate) wrong_key: &'static str,
    count: fn(f64) -> RowCount,
    generate: fn(f64, &mut Emit<'_>),
}

/// How many rows a table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowCount {
    /// So many.
    Exact(u64),
    /// Orders have one to seven items, four on average.
    About(u64),
}

impl RowCount {
    /// The number, exact or not.
    pub fn value(self) -> u64 {
        match self {
            Self::Exact(n) | Self::About(n) => n,
        }
    }
}

/// Some whole lines for `COPY … FROM STDIN`.
#[derive(Default)]
pub struct Chunk {
    /// The lines.
    pub text: Vec<u8>,
    /// How many.
    pub rows: u64,
}

/// Takes a chunk; `false`: no more are wanted.
pub type Emit<'a> = dyn FnMut(Chunk) -> bool + 'a;

impl Table {
    /// The table of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.name == name)
    }

    /// How many rows it has at this scale.
    pub fn row_count(&self, scale: f64) -> RowCount {
        (self.count)(scale)
    }

    /// Generates all rows, in the text form of COPY. Takes as long as it takes: not for a thread
    /// that serves others.
    pub fn copy_text(&self, scale: f64, emit: &mut Emit<'_>) {
        (self.generate)(scale, emit);
    }
}

/// The tables, in the order in which foreign keys would want them filled.
pub static TABLES: [Table; 8] = [
    Table {
        name: "region",
        wrong_key: "r_name",
        count: |_| RowCount::Exact(5),
        generate: |scale, emit| lines(RegionGenerator::new(scale, 1, 1).iter(), emit),
    },
    Table {
        name: "nation",
        wrong_key: "n_name",
        count: |_| RowCount::Exact(25),
        generate: |scale, emit| lines(NationGenerator::new(scale, 1, 1).iter(), emit),
    },
    Table {
        name: "supplier",
        wrong_key: "s_acctbal",
        count: |scale| exact(SupplierGenerator::calculate_row_count(scale, 1, 1)),
        generate: |scale, emit| lines(SupplierGenerator::new(scale, 1, 1).iter(), emit),
    },
    Table {
        name: "part",
        wrong_key: "p_name",
        count: |scale| exact(PartGenerator::calculate_row_count(scale, 1, 1)),
        generate: |scale, emit| lines(PartGenerator::new(scale, 1, 1).iter(), emit),
    },
    Table {
        name: "partsupp",
        wrong_key: "ps_availqty",
        // tpchgen counts the parts; each has four suppliers.
        count: |scale| exact(4 * PartSuppGenerator::calculate_row_count(scale, 1, 1)),
        generate: |scale, emit| lines(PartSuppGenerator::new(scale, 1, 1).iter(), emit),
    },
    Table {
        name: "customer",
        wrong_key: "c_mktsegment",
        count: |scale| exact(CustomerGenerator::calculate_row_count(scale, 1, 1)),
        generate: |scale, emit| lines(CustomerGenerator::new(scale, 1, 1).iter(), emit),
    },
    Table {
        name: "orders",
        wrong_key: "o_clerk",
        count: |scale| exact(OrderGenerator::calculate_row_count(scale, 1, 1)),
        generate: |scale, emit| lines(OrderGenerator::new(scale, 1, 1).iter(), emit),
    },
    Table {
        name: "lineitem",
        wrong_key: "l_shipdate",
        count: |scale| {
            let orders = OrderGenerator::calculate_row_count(scale, 1, 1);
            RowCount::About(4 * u64::try_from(orders).unwrap_or(0))
        },
        generate: |scale, emit| lines(LineItemGenerator::new(scale, 1, 1).iter(), emit),
    },
];

fn exact(rows: i64) -> RowCount {
    RowCount::Exact(u64::try_from(rows).unwrap_or(0))
}

/// tpchgen displays a row as `field|field|…|`.
fn lines(rows: impl Iterator<Item = impl Display>, emit: &mut Emit<'_>) {
    let mut chunk = Chunk::default();
    let mut line = String::new();
    for row in rows {
        line.clear();
        // Writing to memory cannot fail.
        let _ = write!(line, "{row}");
        push_line(&mut chunk.text, line.strip_suffix('|').unwrap_or(&line));
        chunk.rows += 1;
        if chunk.text.len() >= CHUNK_BYTES && !emit(std::mem::take(&mut chunk)) {
            return;
        }
    }
    if chunk.rows > 0 {
        emit(chunk);
    }
}

/// Turns `|` into COPY's tab, and escapes what COPY would take for its own. In TPC-H's texts
/// there is nothing of that kind, so the plain loop, which the compiler vectorises, comes first.
fn push_line(text: &mut Vec<u8>, line: &str) {
    let own = |byte: u8| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r');
    if line.bytes().any(own) {
        let escaped = line.replace('\\', "\\\\").replace('\t', "\\t");
        let escaped = escaped.replace('\n', "\\n").replace('\r', "\\r");
        text.extend(escaped.bytes().map(|byte| if byte == b'|' { b'\t' } else { byte }));
    } else {
        text.extend(line.bytes().map(|byte| if byte == b'|' { b'\t' } else { byte }));
    }
    text.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_text(table: &Table, scale: f64) -> (String, u64) {
        let (mut text, mut rows) = (Vec::new(), 0);
        table.copy_text(scale, &mut |chunk| {
            text.extend(chunk.text);
            rows += chunk.rows;
            true
        });
        (String::from_utf8(text).unwrap(), rows)
    }

    #[test]
    fn rows_and_lines_are_those_announced() {
        for table in &TABLES {
            let (text, rows) = all_text(table, 0.01);
            assert_eq!(text.lines().count() as u64, rows, "{}", table.name);
            match table.row_count(0.01) {
                RowCount::Exact(n) => assert_eq!(n, rows, "{}", table.name),
                RowCount::About(n) => assert!(rows.abs_diff(n) * 20 < n, "{}", table.name),
            }
        }
    }

    #[test]
    fn a_line_is_what_copy_expects() {
        let (text, _) = all_text(Table::named("region").unwrap(), 0.01);
        let (first, _) = text.split_once('\n').unwrap();
        assert!(first.starts_with("0\tAFRICA\tlar deposits."), "{first}");
        assert_eq!(first.split('\t').count(), 3, "{first}");
    }

    #[test]
    fn what_copy_would_misread_is_escaped() {
        let mut line = Vec::new();
        push_line(&mut line, "a\\b\tc\nd\re|f");
        assert_eq!(line, b"a\\\\b\\tc\\nd\\re\tf\n");
    }

    #[test]
    fn generating_stops_when_nobody_wants_more() {
        let mut chunks = 0;
        Table::named("lineitem").unwrap().copy_text(0.1, &mut |_| {
            chunks += 1;
            false
        });
        assert_eq!(chunks, 1);
    }
}
