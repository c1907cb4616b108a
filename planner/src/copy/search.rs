//! Where in the middle of COPY's data a record begins: each byte before that decides, for it may open
//! or close quotes.

use memchr::memchr_iter;

use super::{RecordFormat, ends::RecordEnds};

/// Looks for the first record at or behind a place.
#[derive(Debug)]
pub struct RecordSearch(State);

#[derive(Debug)]
enum State {
    /// csv whose quotes are escaped by themselves: their number says what is inside of them.
    Quotes { quote: u8, is_inside: bool, last: u8, format: RecordFormat },
    /// Anything else is read as it is when its records are.
    Ends { ends: RecordEnds, carried: Vec<u8>, is_between: bool },
}

impl RecordSearch {
    /// At the beginning of the data.
    pub fn new(format: &RecordFormat) -> Self {
        if format.csv && format.quote == format.escape {
            let format = format.clone();
            return Self(State::Quotes {
                quote: format.quote,
                is_inside: false,
                last: b'\n',
                format,
            });
        }
        let ends = RecordEnds::new(format);
        Self(State::Ends { ends, carried: Vec::new(), is_between: true })
    }

    /// Whether the place's last byte before it and the backslashes right before that one decide, so that
    /// a search may begin at these. In csv quotes may have been opened anywhere.
    pub fn may_begin_near(format: &RecordFormat) -> bool {
        !format.csv
    }

    /// The next bytes before the place.
    pub fn pass(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Quotes { quote, is_inside, last, .. } => {
                *is_inside ^= memchr_iter(*quote, bytes).count() % 2 == 1;
                *last = bytes.last().copied().unwrap_or(*last);
            }
            State::Ends { ends, carried, is_between } => {
                carried.extend_from_slice(bytes);
                let mut end = None;
                while let Some(next) = ends.next(carried) {
                    end = Some(next.at + 1);
                }
                if !bytes.is_empty() {
                    *is_between = end == Some(carried.len());
                }
                let searched = ends.searched();
                carried.drain(..searched);
                ends.drained(searched);
            }
        }
    }

    /// The place is reached.
    pub fn here(self) -> RecordStart {
        match self.0 {
            State::Quotes { is_inside, last, format, .. } => {
                let ends = RecordEnds::new(&format);
                let ends = if is_inside { ends.quoted() } else { ends };
                let is_between = last == b'\n' && !is_inside;
                RecordStart { ends, bytes: Vec::new(), skipped: 0, is_between }
            }
            State::Ends { ends, carried, is_between } => {
                RecordStart { ends, skipped: carried.len(), bytes: carried, is_between }
            }
        }
    }
}

/// Looks on from the place.
#[derive(Debug)]
pub struct RecordStart {
    ends: RecordEnds,
    bytes: Vec<u8>,
    /// So many of them are before the place.
    skipped: usize,
    is_between: bool,
}

impl RecordStart {
    /// How far behind the place the first record begins, if these bytes are the next ones and it is
    /// among them.
    pub fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.is_between {
            return Some(0);
        }
        self.bytes.extend_from_slice(bytes);
        let end = self.ends.next(&self.bytes)?;
        Some((end.at + 1).saturating_sub(self.skipped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where records begin at or behind each place of the data.
    fn starts(format: &RecordFormat, data: &[u8], piece: usize) -> Vec<Option<usize>> {
        let start = |place: usize| {
            let mut search = RecordSearch::new(format);
            data[..place].chunks(piece).for_each(|bytes| search.pass(bytes));
            let mut start = search.here();
            let found = start.push(&[]);
            let mut pieces = data[place..].chunks(piece);
            found.or_else(|| pieces.find_map(|bytes| start.push(bytes))).map(|found| place + found)
        };
        (0..=data.len()).map(start).collect()
    }

    #[test]
    fn records_are_found_from_anywhere() {
        let csv = |escape| RecordFormat {
            csv: true,
            delimiter: b',',
            null: String::new(),
            quote: b'"',
            escape,
        };
        let text = RecordFormat { csv: false, delimiter: b'\t', null: "\\N".into(), ..csv(b'"') };
        for (format, data, begin) in [
            (csv(b'"'), &b"1,a\n\"2\n\"\"\n\",b\r\n3,\n"[..], &[0, 4, 15, 18][..]),
            (csv(b'\\'), b"1,a\n\"2\n\\\"\n\",b\n3\\\n", &[0, 4, 14, 17]),
            (text, b"1\ta\n\\\n2\\\\\n\"3\n", &[0, 4, 10, 13]),
        ] {
            let expected: Vec<_> = (0..=data.len())
                .map(|place| begin.iter().copied().find(|begin| *begin >= place))
                .collect();
            for piece in [1, 2, 3, data.len()] {
                let found = starts(&format, data, piece);
                assert_eq!(found, expected, "{format:?}, in pieces of {piece}");
            }
        }
    }
}
