//! Casts with PostgreSQL's results and errors.
//!
//! One function, `kestrel_cast(value, 'type')`, does every cast where Arrow's differs; the type is
//! in its text form because modifiers (`numeric(10,2)`, `character(3)`) have to travel with the
//! plan. `kestrel_assign` differs in one point: a text too long for its column is an error.

mod allowed;
mod array;
mod datetime;
mod datetime_output;
mod evaluate;
mod input;
mod interval_input;
mod interval_output;
mod iso_datetime;
mod number;
mod numeric;
pub mod output;
mod texts;

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::ArrayRef,
    datatypes::{DataType, FieldRef, IntervalMonthDayNano},
};
use datafusion::{
    common::{Result, ScalarValue, metadata::FieldMetadata},
    logical_expr::{
        Cast, ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility, expr::ScalarFunction,
    },
};
use kestrel_proto::{ErrorReport, SqlState};

use allowed::{is_allowed, is_explicit_only, is_plain, is_same};
pub(crate) use evaluate::text_of;
use evaluate::{Context, convert};
pub(crate) use input::bytea;
pub(crate) use number::double_of_decimal;
pub(crate) use numeric::ToNumeric;
pub use texts::{assign_values, read_texts};

use super::{
    arithmetic::types::Class,
    datetime::of_word,
    formats::{DateOrder, DateStyle, IntervalStyle, SessionFormats},
    operand, sql_name,
    zone::Zone,
};
use crate::{
    catalog::{SQL_TYPE_METADATA, SqlType},
    error::to_datafusion,
};

/// The text of a timestamptz: microseconds since 1970. Without a zone it is UTC.
pub(crate) fn parse_timestamp_tz(text: &str) -> Result<i64, ErrorReport> {
    datetime::timestamp_tz(text, DateOrder::default(), Zone::default())
}

/// The text of an interval.
pub(crate) fn parse_interval(text: &str) -> Result<IntervalMonthDayNano, ErrorReport> {
    datetime::interval(text, IntervalStyle::default())
}

/// The text of an interval in the form that intervals are shown in.
pub(crate) fn normal_interval(text: &str) -> Result<String, ErrorReport> {
    Ok(output::interval(parse_interval(text)?, IntervalStyle::default()))
}

/// Whether the SQL text asked for the cast, or a value goes into a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CastKind {
    /// `CAST(x AS t)`: texts are cut to `varchar(n)`.
    Explicit,
    /// INSERT, UPDATE: a text that is too long is 22001.
    Assignment,
}

/// `CAST(expr AS to)` for an expression of type `from`; `cannot cast type …` (42846) if PostgreSQL
/// has no such cast.
pub fn cast_to(expr: Expr, from: &DataType, to: SqlType) -> Result<Expr, ErrorReport> {
    cast(expr, from, to, CastKind::Explicit)
}

/// The cast as a call, also where nothing has to be done to the values: the type it says counts.
pub(crate) fn cast_always(expr: Expr, to: SqlType) -> Expr {
    call(expr, to, CastKind::Explicit)
}

/// The value and the type of a call that [`cast_always`] gives.
pub(crate) fn cast_of(expr: &Expr) -> Option<(&Expr, SqlType)> {
    let Expr::ScalarFunction(function) = expr else { return None };
    let cast = function.func.inner().downcast_ref::<CastFunction>()?;
    match (cast.kind, function.args.as_slice()) {
        (CastKind::Explicit, [value, Expr::Literal(ScalarValue::Utf8(Some(to)), _)]) => {
            Some((value, SqlType::parse(to)?))
        }
        _ => None,
    }
}

/// Whether this is a call of ours that casts.
pub(crate) fn is_cast(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.inner().downcast_ref::<CastFunction>().is_some())
}

/// What happens to a value of type `from` that goes into a column of type `to`.
pub fn assign_to(expr: Expr, from: &DataType, to: SqlType) -> Result<Expr, ErrorReport> {
    cast(expr, from, to, CastKind::Assignment)
}

/// Texts as values of a type, read as PostgreSQL's input functions read them in a session of these
/// formats. For what comes as text but not in SQL: parameters, COPY.
pub fn read_text(
    texts: &ArrayRef,
    to: SqlType,
    formats: SessionFormats,
) -> Result<ArrayRef, ErrorReport> {
    let context = Context { kind: CastKind::Assignment, formats };
    convert(texts, to, &context).map_err(crate::error::report)
}

fn cast(expr: Expr, from: &DataType, to: SqlType, kind: CastKind) -> Result<Expr, ErrorReport> {
    if is_same(from, to) {
        return Ok(if kind == CastKind::Explicit { labelled(expr, to) } else { expr });
    }
    if !is_allowed(from, to) || kind != CastKind::Explicit && is_explicit_only(from, to) {
        return Err(ErrorReport::new(
            SqlState::CANNOT_COERCE,
            format!("cannot cast type {} to {}", sql_name(from), base_name(to)),
        ));
    }
    if let Some((moment, its_type)) = literal_text(&expr).and_then(|text| of_word(text, to)) {
        return cast(moment, &its_type.arrow(), to, kind);
    }
    let field = Arc::new(to.field("", true));
    if let Expr::Literal(value, _) = &expr
        && let Some(converted) = in_any_session(value, from, to, kind)?
    {
        // A literal becomes a value of its type at once, and a wrong one an error.
        let array = converted.map_err(crate::error::report)?;
        let value = ScalarValue::try_from_array(&array, 0).map_err(crate::error::report)?;
        if to == SqlType::BigInt {
            // A bare bigint literal is taken for one that nobody has given a type.
            let literal = Expr::Literal(value, None);
            return Ok(Expr::Cast(Cast::new_from_field(Box::new(literal), field)));
        }
        let metadata = (!field.metadata().is_empty()).then(|| field.as_ref().into());
        let literal = Expr::Literal(value, metadata);
        return Ok(if kind == CastKind::Explicit { labelled(literal, to) } else { literal });
    }
    if is_plain(from, to) {
        return Ok(Expr::Cast(Cast::new_from_field(Box::new(expr), field)));
    }
    Ok(call(expr, to, kind))
}

fn literal_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

/// A quoted literal that is cast to a type of texts says so: without a label it could still become
/// of any type (`is_untyped_text`).
pub(crate) fn labelled(expr: Expr, to: SqlType) -> Expr {
    match expr {
        Expr::Literal(value, _)
            if matches!(to, SqlType::Text | SqlType::Varchar(None) | SqlType::Name) =>
        {
            let label = (SQL_TYPE_METADATA.to_string(), to.to_string());
            Expr::Literal(value, Some(FieldMetadata::new(BTreeMap::from([label]))))
        }
        other => other,
    }
}

fn call(expr: Expr, to: SqlType, kind: CastKind) -> Expr {
    let function = Arc::new(ScalarUDF::new_from_impl(CastFunction::new(kind)));
    let target = Expr::Literal(ScalarValue::Utf8(Some(to.to_string())), None);
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![expr, target]))
}

/// What a literal becomes in every session, whatever its formats; `None`: that depends on them.
fn in_any_session(
    value: &ScalarValue,
    from: &DataType,
    to: SqlType,
    kind: CastKind,
) -> Result<Option<Result<ArrayRef>>, ErrorReport> {
    let Some(formats) = formats_that_matter(from, to) else { return Ok(None) };
    let array = value.to_array().map_err(crate::error::report)?;
    let convert = |formats| convert(&array, to, &Context { kind, formats });
    let first = convert(SessionFormats::default());
    let is_same = |formats: SessionFormats| match (&first, convert(formats)) {
        (Ok(first), Ok(other)) => *first == other,
        (Err(_), Err(_)) => true,
        _ => false,
    };
    Ok(formats.into_iter().all(is_same).then_some(first))
}

/// Formats one of which gives another result than the default, if the result can depend on the
/// session; `None`: it always does.
fn formats_that_matter(from: &DataType, to: SqlType) -> Option<Vec<SessionFormats>> {
    let zoned = |class: Option<Class>| class == Some(Class::TimestampTz);
    let (source, target) = (Class::of(from), Class::of(&to.arrow()));
    if zoned(source) != zoned(target) {
        return None;
    }
    let to_text =
        matches!(to, SqlType::Text | SqlType::Name | SqlType::Varchar(_) | SqlType::Char(_));
    let styled =
        matches!(
            source,
            Some(Class::Date | Class::Timestamp | Class::Interval | Class::Real | Class::Double)
        ) || matches!(from, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    if to_text && styled {
        return None;
    }
    let default = SessionFormats::default();
    Some(match to {
        SqlType::Date | SqlType::Time | SqlType::Timestamp => {
            let styles = DateOrder::ALL.map(|order| DateStyle { order, ..default.date_style });
            styles.map(|date_style| SessionFormats { date_style, ..default }).into()
        }
        SqlType::Interval => {
            vec![SessionFormats { interval_style: IntervalStyle::SqlStandard, ..default }]
        }
        _ => Vec::new(),
    })
}

/// The type's name without modifiers.
fn base_name(to: SqlType) -> String {
    let name = to.to_string();
    match name.split_once('(') {
        Some((base, _)) => base.to_string(),
        None => name,
    }
}

/// `kestrel_cast(value, 'type')` and `kestrel_assign(value, 'type')`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct CastFunction {
    kind: CastKind,
    signature: Signature,
}

impl CastFunction {
    /// The function of this kind of cast.
    pub(crate) fn new(kind: CastKind) -> Self {
        // The session's formats are an input too, but constant within a statement.
        Self { kind, signature: Signature::any(2, Volatility::Immutable) }
    }
}

/// The type that the second argument names.
fn target(value: Option<&ScalarValue>) -> Result<SqlType> {
    let name = value.and_then(|v| v.try_as_str()).flatten();
    name.and_then(SqlType::parse)
        .ok_or_else(|| to_datafusion(ErrorReport::internal("a cast without the name of its type")))
}

impl ScalarUDFImpl for CastFunction {
    fn name(&self) -> &str {
        match self.kind {
            CastKind::Explicit => "kestrel_cast",
            CastKind::Assignment => "kestrel_assign",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        Ok(match args {
            [value, Expr::Literal(name, _)] => format!("CAST({value} AS {name})"),
            _ => self.name().to_string(),
        })
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        // DataFusion's casts do not show in names either.
        Ok(match args {
            [value, _] => value.schema_name().to_string(),
            _ => self.name().to_string(),
        })
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Err(to_datafusion(ErrorReport::internal("a cast's type is in its argument")))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let target = target(args.scalar_arguments.get(1).copied().flatten())?;
        let nullable = args.arg_fields.first().is_none_or(|f| f.is_nullable());
        Ok(Arc::new(target.field(self.name(), nullable)))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, ColumnarValue::Scalar(name)] = args.args.as_slice() else {
            return Err(to_datafusion(ErrorReport::internal("a cast to no constant type")));
        };
        let to = target(Some(name))?;
        let formats = SessionFormats::of_session(&args.config_options);
        let context = Context { kind: self.kind, formats };
        match value {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(convert(array, to, &context)?)),
            ColumnarValue::Scalar(scalar) => {
                operand::finish(convert(&scalar.to_array()?, to, &context)?, true)
            }
        }
    }
}
