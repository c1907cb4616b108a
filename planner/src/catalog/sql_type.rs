//! The SQL types of columns and results, and how they are held in Arrow.

use std::{fmt, sync::Arc};

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use serde::{Deserialize, Serialize};

use super::Element;

/// The key in an Arrow field's metadata under which the SQL type stands where the Arrow type does
/// not tell it: `varchar(n)`, `char(n)`, `uuid`, numeric without declared scale, …
pub const SQL_TYPE_METADATA: &str = "kestrel.sql_type";

/// A SQL type, with its modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SqlType {
    /// `smallint`
    SmallInt,
    /// `integer`
    Integer,
    /// `bigint`
    BigInt,
    /// `real`
    Real,
    /// `double precision`
    Double,
    /// `numeric(precision, scale)`, precision at most 38
    Numeric(u8, i8),
    /// `boolean`
    Boolean,
    /// `text`
    Text,
    /// `character varying(n)`; `None`: without limit
    Varchar(Option<u32>),
    /// `character(n)`: held without its trailing blanks, shown with them
    Char(u32),
    /// `date`
    Date,
    /// `time without time zone`
    Time,
    /// `timestamp without time zone`
    Timestamp,
    /// `timestamp with time zone`
    TimestampTz,
    /// `interval`
    Interval,
    /// `uuid`
    Uuid,
    /// `bytea`
    Bytea,
    /// `"char"`, `oid`, `name` … of the system catalogs: held as text or integer
    Oid,
    /// `name`, the type of identifiers in the system catalogs
    Name,
    /// `json`: held as the text it was written as
    Json,
    /// `jsonb`: held as PostgreSQL prints it
    Jsonb,
    /// An array of one dimension. Results and expressions have it, columns of tables do not.
    Array(Element),
    /// `int2vector` of the system catalogs: an array of smallint whose subscripts begin with 0
    Int2Vector,
    /// `oidvector` of the system catalogs, likewise
    OidVector,
}

/// Types whose equal values have equal placement hashes. Two tables co-locate on a join only if
/// their keys' classes are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HashClass {
    /// smallint, integer, bigint
    Integer,
    /// real, double precision
    Float,
    /// numeric
    Numeric,
    /// boolean
    Boolean,
    /// text, varchar
    Text,
    /// char(n)
    Char,
    /// date
    Date,
    /// time
    Time,
    /// timestamp
    Timestamp,
    /// timestamptz
    TimestampTz,
    /// interval
    Interval,
    /// uuid
    Uuid,
    /// bytea
    Bytea,
}

impl HashClass {
    const ALL: [(Self, &'static str); 13] = [
        (Self::Integer, "integer"),
        (Self::Float, "float"),
        (Self::Numeric, "numeric"),
        (Self::Boolean, "boolean"),
        (Self::Text, "text"),
        (Self::Char, "char"),
        (Self::Date, "date"),
        (Self::Time, "time"),
        (Self::Timestamp, "timestamp"),
        (Self::TimestampTz, "timestamptz"),
        (Self::Interval, "interval"),
        (Self::Uuid, "uuid"),
        (Self::Bytea, "bytea"),
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(class, _)| *class == self).map_or("", |(_, name)| name)
    }

    /// From the name on the wire.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(class, _)| *class)
    }
}

impl SqlType {
    /// How values are held in Arrow.
    pub fn arrow(self) -> DataType {
        match self {
            Self::SmallInt => DataType::Int16,
            Self::Integer => DataType::Int32,
            Self::BigInt | Self::Oid => DataType::Int64,
            Self::Real => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Numeric(precision, scale) => DataType::Decimal128(precision, scale),
            Self::Boolean => DataType::Boolean,
            Self::Text
            | Self::Varchar(_)
            | Self::Char(_)
            | Self::Name
            | Self::Json
            | Self::Jsonb => DataType::Utf8View,
            Self::Array(element) => list(element.sql_type()),
            Self::Int2Vector => list(Self::SmallInt),
            Self::OidVector => list(Self::Oid),
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::Uuid => DataType::FixedSizeBinary(16),
            Self::Bytea => DataType::BinaryView,
        }
    }

    /// An Arrow field of this type; carries [`SQL_TYPE_METADATA`] where the Arrow type alone would
    /// be read back as another SQL type.
    pub fn field(self, name: &str, nullable: bool) -> Field {
        let field = Field::new(name, self.arrow(), nullable);
        if Self::of_arrow(&self.arrow()) == Some(self) {
            return field;
        }
        field.with_metadata([(SQL_TYPE_METADATA.to_string(), self.to_string())].into())
    }

    /// The SQL type of a field: from its metadata, else from its Arrow type; `None` for Arrow
    /// types that no SQL type has.
    pub fn of_field(field: &Field) -> Option<Self> {
        let declared = field.metadata().get(SQL_TYPE_METADATA).and_then(|t| Self::parse(t));
        match declared {
            Some(t) if t.arrow().equals_datatype(field.data_type()) => Some(t),
            _ => Self::of_arrow(field.data_type()),
        }
    }

    /// The SQL type that stands for an Arrow type.
    pub fn of_arrow(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Int8 | DataType::Int16 | DataType::UInt8 => Self::SmallInt,
            DataType::Int32 | DataType::UInt16 => Self::Integer,
            DataType::Int64 | DataType::UInt32 => Self::BigInt,
            DataType::UInt64 => Self::Numeric(20, 0),
            DataType::Float16 | DataType::Float32 => Self::Real,
            DataType::Float64 => Self::Double,
            DataType::Decimal128(p, s)
            | DataType::Decimal32(p, s)
            | DataType::Decimal64(p, s)
            | DataType::Decimal256(p, s) => Self::Numeric((*p).min(38), *s),
            DataType::Boolean => Self::Boolean,
            DataType::Utf8View | DataType::Utf8 | DataType::LargeUtf8 | DataType::Null => {
                Self::Text
            }
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::Timestamp(_, None) => Self::Timestamp,
            DataType::Timestamp(_, Some(_)) => Self::TimestampTz,
            DataType::Interval(_) | DataType::Duration(_) => Self::Interval,
            DataType::FixedSizeBinary(16) => Self::Uuid,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Bytea,
            DataType::Dictionary(_, value) => return Self::of_arrow(value),
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                return Self::of_arrow(item.data_type()).and_then(Element::of).map(Self::Array);
            }
            _ => return None,
        })
    }

    /// How values of this type hash for placement; `None`: not hashable.
    pub fn hash_class(self) -> Option<HashClass> {
        Some(match self {
            Self::SmallInt | Self::Integer | Self::BigInt => HashClass::Integer,
            Self::Real | Self::Double => HashClass::Float,
            Self::Numeric(..) => HashClass::Numeric,
            Self::Boolean => HashClass::Boolean,
            Self::Text | Self::Varchar(_) | Self::Name => HashClass::Text,
            Self::Char(_) => HashClass::Char,
            Self::Date => HashClass::Date,
            Self::Time => HashClass::Time,
            Self::Timestamp => HashClass::Timestamp,
            Self::TimestampTz => HashClass::TimestampTz,
            Self::Interval => HashClass::Interval,
            Self::Uuid => HashClass::Uuid,
            Self::Bytea => HashClass::Bytea,
            Self::Oid
            | Self::Json
            | Self::Jsonb
            | Self::Array(_)
            | Self::Int2Vector
            | Self::OidVector => return None,
        })
    }

    /// The type of an array's or a vector's elements; `None`: it is neither.
    pub fn element(self) -> Option<Self> {
        match self {
            Self::Array(element) => Some(element.sql_type()),
            Self::Int2Vector => Some(Self::SmallInt),
            Self::OidVector => Some(Self::Oid),
            _ => None,
        }
    }

    /// `int2vector` or `oidvector`?
    pub fn is_vector(self) -> bool {
        matches!(self, Self::Int2Vector | Self::OidVector)
    }

    /// PostgreSQL's type OID.
    pub fn oid(self) -> u32 {
        match self {
            Self::SmallInt => 21,
            Self::Integer => 23,
            Self::BigInt => 20,
            Self::Real => 700,
            Self::Double => 701,
            Self::Numeric(..) => 1700,
            Self::Boolean => 16,
            Self::Text => 25,
            Self::Varchar(_) => 1043,
            Self::Char(_) => 1042,
            Self::Date => 1082,
            Self::Time => 1083,
            Self::Timestamp => 1114,
            Self::TimestampTz => 1184,
            Self::Interval => 1186,
            Self::Uuid => 2950,
            Self::Bytea => 17,
            Self::Oid => 26,
            Self::Name => 19,
            Self::Json => 114,
            Self::Jsonb => 3802,
            Self::Array(element) => element.array_oid(),
            Self::Int2Vector => 22,
            Self::OidVector => 30,
        }
    }

    /// PostgreSQL's type modifier (`atttypmod`): -1 where there is none.
    pub fn typmod(self) -> i32 {
        match self {
            Self::Numeric(precision, scale) => {
                ((i32::from(precision) << 16) | (i32::from(scale) & 0x7ff)) + 4
            }
            Self::Varchar(Some(n)) | Self::Char(n) => n as i32 + 4,
            _ => -1,
        }
    }

    /// PostgreSQL's `typlen`: bytes of a fixed-length value, -1 for variable length.
    pub fn typlen(self) -> i16 {
        match self {
            Self::Boolean => 1,
            Self::SmallInt => 2,
            Self::Integer | Self::Real | Self::Date | Self::Oid => 4,
            Self::BigInt | Self::Double | Self::Time | Self::Timestamp | Self::TimestampTz => 8,
            Self::Interval | Self::Uuid => 16,
            Self::Name => 64,
            Self::Numeric(..)
            | Self::Text
            | Self::Varchar(_)
            | Self::Char(_)
            | Self::Bytea
            | Self::Json
            | Self::Jsonb
            | Self::Array(_)
            | Self::Int2Vector
            | Self::OidVector => -1,
        }
    }

    /// From the text that [`fmt::Display`] writes (the form of PostgreSQL's `format_type`).
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(element) = text.strip_suffix("[]") {
            return Self::parse(element).and_then(Element::of).map(Self::Array);
        }
        let (name, arguments) = match text.strip_suffix(')').and_then(|t| t.split_once('(')) {
            Some((name, arguments)) => (name.trim_end(), Some(arguments)),
            None => (text, None),
        };
        let length = || arguments.and_then(|a| a.trim().parse().ok());
        Some(match name {
            "smallint" => Self::SmallInt,
            "integer" => Self::Integer,
            "bigint" => Self::BigInt,
            "real" => Self::Real,
            "double precision" => Self::Double,
            "numeric" => {
                let (precision, scale) = arguments?.split_once(',')?;
                Self::Numeric(precision.trim().parse().ok()?, scale.trim().parse().ok()?)
            }
            "boolean" => Self::Boolean,
            "text" => Self::Text,
            "character varying" => Self::Varchar(length()),
            "character" => Self::Char(length()?),
            "date" => Self::Date,
            "time without time zone" => Self::Time,
            "timestamp without time zone" => Self::Timestamp,
            "timestamp with time zone" => Self::TimestampTz,
            "interval" => Self::Interval,
            "uuid" => Self::Uuid,
            "bytea" => Self::Bytea,
            "oid" => Self::Oid,
            "name" => Self::Name,
            "json" => Self::Json,
            "jsonb" => Self::Jsonb,
            "int2vector" => Self::Int2Vector,
            "oidvector" => Self::OidVector,
            _ => return None,
        })
    }
}

fn list(element: SqlType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element.arrow(), true)))
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SmallInt => f.write_str("smallint"),
            Self::Integer => f.write_str("integer"),
            Self::BigInt => f.write_str("bigint"),
            Self::Real => f.write_str("real"),
            Self::Double => f.write_str("double precision"),
            Self::Numeric(precision, scale) => write!(f, "numeric({precision},{scale})"),
            Self::Boolean => f.write_str("boolean"),
            Self::Text => f.write_str("text"),
            Self::Varchar(None) => f.write_str("character varying"),
            Self::Varchar(Some(n)) => write!(f, "character varying({n})"),
            Self::Char(n) => write!(f, "character({n})"),
            Self::Date => f.write_str("date"),
            Self::Time => f.write_str("time without time zone"),
            Self::Timestamp => f.write_str("timestamp without time zone"),
            Self::TimestampTz => f.write_str("timestamp with time zone"),
            Self::Interval => f.write_str("interval"),
            Self::Uuid => f.write_str("uuid"),
            Self::Bytea => f.write_str("bytea"),
            Self::Oid => f.write_str("oid"),
            Self::Name => f.write_str("name"),
            Self::Json => f.write_str("json"),
            Self::Jsonb => f.write_str("jsonb"),
            Self::Array(element) => write!(f, "{}[]", element.sql_type()),
            Self::Int2Vector => f.write_str("int2vector"),
            Self::OidVector => f.write_str("oidvector"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_arrow_forms_are_read_back() {
        use SqlType::*;
        let all = [
            SmallInt,
            Integer,
            BigInt,
            Real,
            Double,
            Numeric(15, 2),
            Boolean,
            Text,
            Varchar(None),
            Varchar(Some(44)),
            Char(10),
            Date,
            Time,
            Timestamp,
            TimestampTz,
            Interval,
            Uuid,
            Bytea,
            Oid,
            Name,
            Json,
            Jsonb,
            Array(Element::Integer),
            Array(Element::Numeric(10, 2)),
            Array(Element::Text),
            Int2Vector,
            OidVector,
        ];
        for t in all {
            assert_eq!(SqlType::parse(&t.to_string()), Some(t));
            assert_eq!(SqlType::of_field(&t.field("c", true)), Some(t));
        }
    }

    #[test]
    fn type_modifiers_are_postgresqls() {
        // atttypmod of numeric(15,2), varchar(44) and char(10) columns in PostgreSQL 15.
        assert_eq!(SqlType::Numeric(15, 2).typmod(), 983_046);
        assert_eq!(SqlType::Varchar(Some(44)).typmod(), 48);
        assert_eq!(SqlType::Char(10).typmod(), 14);
    }
}
