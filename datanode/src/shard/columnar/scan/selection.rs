//! Which rows of a zone are still alive, while its conjuncts are evaluated one after the other.
//!
//! ```text
//!   all          before the first conjunct
//!   mask         a byte per row: comparisons of narrow values are some instructions for 16 rows
//!   positions    of the rows alive, once they are fewer than a quarter: the rest is not looked at
//! ```

use arrow::buffer::BooleanBuffer;

/// Fewer than one in this many rows alive: they are listed.
const SPARSE: usize = 4;

/// The rows of a zone that have passed so far. It is used for one zone after the other, so that no
/// zone allocates.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    form: Form,
    rows: usize,
    alive: usize,
    /// In the form of that name: 1 or 0 for each row.
    mask: Vec<u8>,
    /// In the form of that name: ascending, the first `alive` of them.
    positions: Vec<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    #[default]
    All,
    Mask,
    Positions,
}

impl Selection {
    /// All of so many rows.
    pub(super) fn reset(&mut self, rows: usize) {
        self.form = Form::All;
        self.rows = rows;
        self.alive = rows;
        self.mask.resize(rows, 0);
        self.positions.resize(rows, 0);
    }

    /// The same rows as another selection.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.reset(other.rows);
        (self.form, self.alive) = (other.form, other.alive);
        match self.form {
            Form::All => (),
            Form::Mask => self.mask.copy_from_slice(&other.mask),
            Form::Positions => {
                for (position, from) in self.positions.iter_mut().zip(other.listed()) {
                    *position = *from;
                }
            }
        }
    }

    /// Rows of the zone.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Rows alive.
    pub(super) fn alive(&self) -> usize {
        self.alive
    }

    /// No row is alive any more.
    pub(super) fn clear(&mut self) {
        self.form = Form::Positions;
        self.alive = 0;
    }

    /// The rows alive, if they are listed. Otherwise what is computed is computed for all rows.
    pub(super) fn positions(&self) -> Option<&[u32]> {
        (self.form == Form::Positions).then(|| self.listed())
    }

    /// The rows alive, listed; `None`: all.
    pub(super) fn list(&mut self) -> Option<&[u32]> {
        if self.alive == self.rows {
            return None;
        }
        if self.form == Form::Mask {
            self.mask_to_positions();
        }
        Some(self.listed())
    }

    fn listed(&self) -> &[u32] {
        self.positions.get(..self.alive).unwrap_or_default()
    }

    /// Keeps the rows whose value passes; `values` are those of all rows of the zone.
    pub(super) fn keep<T: Copy>(&mut self, values: &[T], pass: impl Fn(T) -> bool) {
        if self.form == Form::Positions {
            return self.retain(|_, at| values.get(at as usize).is_some_and(|v| pass(*v)));
        }
        self.mask_with(values, pass);
    }

    /// The same with the values of the rows alive only, where they are listed.
    pub(super) fn keep_aligned<T: Copy>(&mut self, values: &[T], pass: impl Fn(T) -> bool) {
        if self.form == Form::Positions {
            return self.retain(|nth, _| values.get(nth).is_some_and(|v| pass(*v)));
        }
        self.mask_with(values, pass);
    }

    /// Keeps the rows whose bit is set; there is one for each row of the zone.
    pub(super) fn keep_bits(&mut self, bits: &BooleanBuffer) {
        if self.form == Form::Positions {
            return self.retain(|_, at| (at as usize) < bits.len() && bits.value(at as usize));
        }
        self.mask_with_bits(bits);
    }

    /// The same with bits of the rows alive only, where they are listed.
    pub(super) fn keep_bits_aligned(&mut self, bits: &BooleanBuffer) {
        if self.form == Form::Positions {
            return self.retain(|nth, _| nth < bits.len() && bits.value(nth));
        }
        self.mask_with_bits(bits);
    }

    /// Sets the bytes of the rows alive.
    pub(super) fn mark(&self, marks: &mut [u8]) {
        match self.form {
            Form::All => marks.fill(1),
            Form::Mask => {
                for (mark, alive) in marks.iter_mut().zip(&self.mask) {
                    *mark |= alive;
                }
            }
            Form::Positions => {
                for at in self.listed() {
                    if let Some(mark) = marks.get_mut(*at as usize) {
                        *mark = 1;
                    }
                }
            }
        }
    }

    fn mask_with<T: Copy>(&mut self, values: &[T], pass: impl Fn(T) -> bool) {
        if self.form == Form::All {
            self.form = Form::Mask;
            for (alive, value) in self.mask.iter_mut().zip(values) {
                *alive = u8::from(pass(*value));
            }
        } else {
            for (alive, value) in self.mask.iter_mut().zip(values) {
                *alive &= u8::from(pass(*value));
            }
        }
        self.count();
    }

    fn mask_with_bits(&mut self, bits: &BooleanBuffer) {
        if self.form == Form::All {
            self.form = Form::Mask;
            self.mask.fill(1);
        }
        let words = bits.bit_chunks();
        for (alive, word) in self.mask.chunks_mut(64).zip(words.iter_padded()) {
            match word {
                u64::MAX => (),
                0 => alive.fill(0),
                _ => {
                    for (at, alive) in alive.iter_mut().enumerate() {
                        *alive &= (word >> at) as u8 & 1;
                    }
                }
            }
        }
        self.count();
    }

    fn count(&mut self) {
        self.alive = self.mask.iter().map(|alive| u32::from(*alive)).sum::<u32>() as usize;
        if self.alive * SPARSE < self.rows {
            self.mask_to_positions();
        }
    }

    fn mask_to_positions(&mut self) {
        self.form = Form::Positions;
        if self.alive * 2 < self.rows {
            return self.list_few();
        }
        // Without a branch: what comes out cannot be foreseen.
        let mut listed = 0;
        for (at, alive) in self.mask.iter().enumerate() {
            if let Some(position) = self.positions.get_mut(listed) {
                *position = at as u32;
            }
            listed += usize::from(*alive);
        }
    }

    /// Eight rows at a time, of which each that is alive costs a step.
    fn list_few(&mut self) {
        let mut positions = self.positions.iter_mut();
        let (groups, rest) = self.mask.as_chunks::<8>();
        for (group, alive) in groups.iter().enumerate() {
            let mut alive = u64::from_le_bytes(*alive);
            while alive != 0 {
                if let Some(position) = positions.next() {
                    *position = 8 * group as u32 + alive.trailing_zeros() / 8;
                }
                alive &= alive - 1;
            }
        }
        let first = self.mask.len() - rest.len();
        for (at, alive) in rest.iter().enumerate() {
            if *alive != 0
                && let Some(position) = positions.next()
            {
                *position = (first + at) as u32;
            }
        }
    }

    /// Keeps listed rows: of each, how manieth alive it is, and its position.
    fn retain(&mut self, pass: impl Fn(usize, u32) -> bool) {
        let mut kept = 0;
        for nth in 0..self.alive.min(self.positions.len()) {
            let at = self.positions[nth];
            self.positions[kept] = at;
            kept += usize::from(pass(nth, at));
        }
        self.alive = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every form, with rows kept by all four ways, against a list of booleans.
    #[test]
    fn what_is_kept_is_what_passes() {
        for rows in [1, 7, 8, 64, 65, 1000, 8192] {
            for keeps_one_in in [1, 2, 3, 7, 40, 1 << 20] {
                let mut selection = Selection::default();
                // Used before: nothing of that may be left.
                selection.reset(8192);
                selection.keep(&vec![0_u8; 8192], |v| v == 1);
                selection.reset(rows);
                let mut expected: Vec<u32> = (0..rows as u32).collect();
                for round in 0..4 {
                    let passes = |at: u32| ((at * 31 + round) % 97).is_multiple_of(keeps_one_in);
                    let aligned = match selection.positions() {
                        Some(positions) => positions.to_vec(),
                        None => (0..rows as u32).collect(),
                    };
                    let all: Vec<u32> = (0..rows as u32).collect();
                    let bits = |values: &[u32]| values.iter().map(|v| passes(*v)).collect();
                    match round {
                        0 => selection.keep(&all, passes),
                        1 => selection.keep_bits_aligned(&bits(&aligned)),
                        2 => selection.keep_aligned(&aligned, passes),
                        _ => selection.keep_bits(&bits(&all)),
                    }
                    expected.retain(|at| passes(*at));
                    assert_eq!(selection.alive(), expected.len());
                    let mut marks = vec![0; rows];
                    selection.mark(&mut marks);
                    let marked = (0..rows as u32).filter(|at| marks[*at as usize] == 1);
                    assert_eq!(marked.collect::<Vec<_>>(), expected);
                    let mut copy = Selection::default();
                    copy.copy_from(&selection);
                    let listed = copy.list().map(<[u32]>::to_vec);
                    assert_eq!(listed.unwrap_or(all), expected, "{rows} {keeps_one_in} {round}");
                }
            }
        }
    }
}
