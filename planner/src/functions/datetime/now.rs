//! The moment at which the statement began: `now()` and its relatives. The coordinator's planner puts
//! the value in; fragments carry it as a literal.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
        Signature, Volatility,
        expr::ScalarFunction,
        simplify::{ExprSimplifyResult, SimplifyContext},
    },
};
use kestrel_proto::ErrorReport;

use crate::{
    catalog::SqlType,
    error::to_datafusion,
    functions::{
        civil::{self, DAY},
        function,
        zone::Zone,
    },
};

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        function(Now::new(
            "now",
            &[
                "current_timestamp",
                "transaction_timestamp",
                "statement_timestamp",
                "clock_timestamp",
            ],
            SqlType::TimestampTz,
        )),
        function(Now::new("localtimestamp", &[], SqlType::Timestamp)),
        function(Now::new("current_date", &["today"], SqlType::Date)),
        function(Now::new("localtime", &["current_time"], SqlType::Time)),
    ]
}

/// What a word of date and time input (`'now'`, `'tomorrow'`) means as a value of a type, and the type
/// that it has (PostgreSQL's datetime.c, `RESERV` tokens); `None`: the text is no such word alone.
pub(crate) fn of_word(text: &str, to: SqlType) -> Option<(Expr, SqlType)> {
    let day = |days| Now { days, ..Now::new("current_date", &[], SqlType::Date) };
    let moment = match (text.trim().to_ascii_lowercase().as_str(), to) {
        ("now", SqlType::TimestampTz) => Now::new("now", &[], to),
        ("now", SqlType::Timestamp) => Now::new("localtimestamp", &[], to),
        ("now", SqlType::Time) => Now::new("localtime", &[], to),
        ("now" | "today", SqlType::Date) => day(0),
        ("today", SqlType::Timestamp | SqlType::TimestampTz) => day(0),
        ("tomorrow", SqlType::Date | SqlType::Timestamp | SqlType::TimestampTz) => day(1),
        ("yesterday", SqlType::Date | SqlType::Timestamp | SqlType::TimestampTz) => day(-1),
        _ => return None,
    };
    let own_type = moment.sql_type;
    Some((Expr::ScalarFunction(ScalarFunction::new_udf(function(moment), Vec::new())), own_type))
}

/// The moment in one of its types.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Now {
    name: &'static str,
    aliases: Vec<String>,
    sql_type: SqlType,
    /// That a date is after the moment's.
    days: i64,
    signature: Signature,
}

impl Now {
    fn new(name: &'static str, aliases: &[&str], sql_type: SqlType) -> Self {
        Self {
            name,
            aliases: aliases.iter().map(|a| (*a).to_string()).collect(),
            sql_type,
            days: 0,
            signature: Signature::nullary(Volatility::Stable),
        }
    }

    fn value(&self, utc: i64, zone: Zone) -> Result<ScalarValue, ErrorReport> {
        let local = zone.to_local(utc)?;
        Ok(match self.sql_type {
            SqlType::Date => {
                ScalarValue::Date32(Some(civil::date(local.div_euclid(DAY) + self.days)?))
            }
            SqlType::Time => ScalarValue::Time64Microsecond(Some(local.rem_euclid(DAY))),
            SqlType::Timestamp => ScalarValue::TimestampMicrosecond(Some(local), None),
            _ => ScalarValue::TimestampMicrosecond(Some(utc), Some("UTC".into())),
        })
    }
}

impl ScalarUDFImpl for Now {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.sql_type.arrow())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name, self.sql_type.arrow(), false)))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Some(now) = info.query_execution_start_time() else {
            return Ok(ExprSimplifyResult::Original(args));
        };
        let zone = Zone::of_session(info.config_options());
        let value = self.value(now.timestamp_micros(), zone).map_err(to_datafusion)?;
        Ok(ExprSimplifyResult::Simplified(Expr::Literal(value, None)))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(to_datafusion(ErrorReport::internal("now() has not been given its value")))
    }
}
