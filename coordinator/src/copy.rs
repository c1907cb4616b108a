//! How `COPY … TO STDOUT` writes rows.

/// A form of rows, with what its options say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyForm {
    /// A line for each row, with backslash escapes.
    Text {
        /// Between two values.
        delimiter: u8,
        /// For a NULL.
        null: String,
    },
    /// A line for each row, with quotes where they are needed.
    Csv {
        /// Between two values.
        delimiter: u8,
        /// For a NULL.
        null: String,
        /// Around a value.
        quote: u8,
        /// Before a quote, or itself, inside of quotes.
        escape: u8,
        /// For each column: is every value of it quoted that is not NULL?
        force_quote: Vec<bool>,
    },
    /// PostgreSQL's binary format.
    Binary,
}
