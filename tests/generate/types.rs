//! The types of generated expressions, and what the generator knows about an expression.

/// A SQL type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Type {
    SmallInt,
    Int,
    BigInt,
    Numeric,
    Double,
    Text,
    Char,
    Bool,
    Date,
    Timestamp,
}

impl Type {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::SmallInt,
        Self::Int,
        Self::BigInt,
        Self::Numeric,
        Self::Double,
        Self::Text,
        Self::Char,
        Self::Bool,
        Self::Date,
        Self::Timestamp,
    ];

    /// Its name in a cast.
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::SmallInt => "smallint",
            Self::Int => "int",
            Self::BigInt => "bigint",
            Self::Numeric => "numeric(20,4)",
            Self::Double => "double precision",
            Self::Text => "text",
            Self::Char => "char(4)",
            Self::Bool => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
        }
    }

    /// smallint, int or bigint.
    pub(crate) fn is_integer(self) -> bool {
        matches!(self, Self::SmallInt | Self::Int | Self::BigInt)
    }

    /// Whether `=` and `<` between the two mean the same to every planner.
    pub(crate) fn compares_with(self, other: Self) -> bool {
        let exact = |t: Self| t.is_integer() || t == Self::Numeric;
        self == other || (exact(self) && exact(other))
    }

    /// How a result column of this type is compared.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::SmallInt | Self::Int | Self::BigInt | Self::Numeric => Kind::Number,
            Self::Double => Kind::Double,
            _ => Kind::Text,
        }
    }
}

/// How the values of a result column are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As text.
    Text,
    /// By value, every digit.
    Number,
    /// By value, to six decimals: averages and quotients, whose scale is the engine's own.
    Rounded,
    /// With a relative tolerance: sums of doubles depend on the order of the rows.
    Double,
}

/// An expression, or a column that expressions can use.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    /// Its text; an operand of any operator as it stands.
    pub(crate) sql: String,
    /// Its type.
    pub(crate) ty: Type,
    /// Its values may be near the bounds of its type: arithmetic over it may overflow.
    pub(crate) wide: bool,
    /// Its last digits depend on the engine: it can be put out, but not be compared or grouped.
    pub(crate) inexact: bool,
}

impl Expr {
    /// An exact expression of small values.
    pub(crate) fn new(ty: Type, sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), ty, wide: false, inexact: false }
    }

    /// The same, marked wide.
    pub(crate) fn wide(mut self, wide: bool) -> Self {
        self.wide |= wide;
        self
    }

    /// The same, marked inexact.
    pub(crate) fn inexact(mut self, inexact: bool) -> Self {
        self.inexact |= inexact;
        self
    }

    /// How a result column of it is compared.
    pub(crate) fn kind(&self) -> Kind {
        match self.ty.kind() {
            Kind::Number if self.inexact => Kind::Rounded,
            kind => kind,
        }
    }
}

/// What the expressions of one query level can use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// The columns, or after GROUP BY the grouping expressions and aggregates.
    pub(crate) columns: Vec<Expr>,
    /// Columns that together are different in every row; empty: none are known.
    pub(crate) unique: Vec<String>,
    /// The relations, with the scope of each.
    pub(crate) relations: Vec<Relation>,
}

/// One item of FROM.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    /// The alias.
    pub(crate) alias: String,
    /// Its columns, written with the alias.
    pub(crate) columns: Vec<Expr>,
    /// Its rows, at most, as far as the generator can tell.
    pub(crate) rows: usize,
    /// Columns that together are different in every row; empty: none are known.
    pub(crate) unique: Vec<String>,
}
