//! What a join costs the slowest datanode, in nanoseconds of a rough machine: only their ratios count.

/// A byte that a datanode receives.
const MOVED_BYTE: f64 = 1.0;
/// A row put into a hash table, and each of its bytes.
const BUILT_ROW: f64 = 30.0;
const BUILT_BYTE: f64 = 0.3;
/// A row looked up there.
const PROBED_ROW: f64 = 8.0;
/// A joined row, and each of its bytes.
const JOINED_ROW: f64 = 4.0;
const JOINED_BYTE: f64 = 0.2;
/// A pair of rows compared without a hash table.
const PAIR: f64 = 2.0;

/// Rows that one datanode has, with the bytes of each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Here {
    pub rows: f64,
    pub width: f64,
}

impl Here {
    pub(super) fn bytes(self) -> f64 {
        self.rows * self.width
    }
}

/// Bytes that a datanode receives.
pub(super) fn moving(bytes: f64) -> f64 {
    bytes * MOVED_BYTE
}

/// What a join gives.
pub(super) fn giving(joined: Here) -> f64 {
    joined.rows * JOINED_ROW + joined.bytes() * JOINED_BYTE
}

/// A join of two sides; the smaller one is built.
pub(super) fn joining(left: Here, right: Here, joined: Here, has_keys: bool) -> f64 {
    let result = giving(joined);
    let (built, probed) = if right.bytes() < left.bytes() { (right, left) } else { (left, right) };
    let build = built.rows * BUILT_ROW + built.bytes() * BUILT_BYTE;
    match has_keys {
        true => build + probed.rows * PROBED_ROW + result,
        false => built.bytes() * BUILT_BYTE + left.rows * right.rows * PAIR + result,
    }
}
