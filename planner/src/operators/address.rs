//! Where a row of a segment is: what UPDATE and DELETE name rows by. Columns that a scan puts out
//! behind those of its table, when it is asked for them.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// A part of a row's address; they stand in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// The datanode that has the row, as `Int32`.
    Datanode,
    /// The id of its segment, as `Int64`.
    Segment,
    /// The row's number in the segment, as `Int32`.
    Row,
}

impl Address {
    /// All parts.
    pub const ALL: [Self; 3] = [Self::Datanode, Self::Segment, Self::Row];

    /// The part at this position.
    pub fn of_position(position: usize) -> Option<Self> {
        Self::ALL.get(position).copied()
    }

    /// The column's name: none that is given to a column of a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Datanode => "row address: datanode",
            Self::Segment => "row address: segment",
            Self::Row => "row address: row",
        }
    }

    /// Is this the name of a part?
    pub fn is_named(name: &str) -> bool {
        Self::ALL.into_iter().any(|part| part.name() == name)
    }

    fn field(self) -> Field {
        let data_type = match self {
            Self::Datanode | Self::Row => DataType::Int32,
            Self::Segment => DataType::Int64,
        };
        Field::new(self.name(), data_type, false)
    }
}

/// A table's columns, and behind them its rows' addresses.
pub fn addressed(table: &Schema) -> SchemaRef {
    let address = Address::ALL.into_iter().map(|part| Arc::new(part.field()));
    let fields: Vec<_> = table.fields().iter().cloned().chain(address).collect();
    Arc::new(Schema::new(fields))
}
