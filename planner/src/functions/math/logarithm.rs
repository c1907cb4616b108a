//! `exp`, `ln`, `log` and `log10`. Over numerics they give numerics with the 15 digits of double
//! precision; PostgreSQL computes 16 and more.

use std::sync::Arc;

use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Float64Type};
use datafusion::{
    common::Result,
    logical_expr::{
        ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility,
    },
};
use kestrel_proto::{ErrorReport, SqlState};

use super::double::{coerced, result};
use crate::functions::{
    arithmetic::{float_overflow, float_underflow, precision_scale, strict_field},
    cast::double_of_decimal,
    decimal, function,
    operand::{Operand, division_by_zero, try_zip},
};

/// All of them.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    [Kind::Exp, Kind::Ln, Kind::Log, Kind::Log10].map(|kind| function(Logarithm::new(kind))).into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Exp,
    Ln,
    Log,
    Log10,
}

/// One of the functions.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Logarithm {
    kind: Kind,
    signature: Signature,
}

impl Logarithm {
    fn new(kind: Kind) -> Self {
        Self { kind, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

fn invalid(message: &str) -> ErrorReport {
    ErrorReport::new(SqlState::INVALID_ARGUMENT_FOR_LOG, message)
}

fn logarithm(x: f64) -> std::result::Result<f64, ErrorReport> {
    if x == 0.0 {
        Err(invalid("cannot take logarithm of zero"))
    } else if x < 0.0 {
        Err(invalid("cannot take logarithm of a negative number"))
    } else {
        Ok(x.ln())
    }
}

impl Kind {
    fn of_one(self, x: f64) -> std::result::Result<f64, ErrorReport> {
        match self {
            Self::Exp => {
                let power = x.exp();
                if power.is_infinite() && !x.is_infinite() {
                    Err(float_overflow())
                } else if power == 0.0 && !x.is_infinite() {
                    Err(float_underflow())
                } else {
                    Ok(power)
                }
            }
            Self::Ln => logarithm(x),
            Self::Log | Self::Log10 => logarithm(x).map(|_| x.log10()),
        }
    }
}

fn log_of_base(base: f64, x: f64) -> std::result::Result<f64, ErrorReport> {
    let (base_log, log) = (logarithm(base)?, logarithm(x)?);
    if base_log == 0.0 {
        return Err(division_by_zero());
    }
    // Whole powers come out whole.
    Ok(match base {
        2.0 => x.log2(),
        10.0 => x.log10(),
        _ => log / base_log,
    })
}

impl ScalarUDFImpl for Logarithm {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Exp => "exp",
            Kind::Ln => "ln",
            Kind::Log => "log",
            Kind::Log10 => "log10",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let counts: &[usize] = if self.kind == Kind::Log { &[1, 2] } else { &[1] };
        let types = coerced(self.name(), arguments, counts)?;
        // A logarithm to a base exists over numerics only.
        if types.len() == 2 && types[0] == DataType::Float64 {
            let numeric = arguments.iter().all(|t| !t.is_floating());
            return Ok(if numeric { vec![DataType::Decimal128(19, 0); 2] } else { types });
        }
        Ok(types)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(result(arguments))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        strict_field(self, &args)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let result = args.return_field.data_type();
        let (first, second) = (&args.args[0], args.args.get(1).unwrap_or(&args.args[0]));
        let one = args.args.len() == 1;
        let compute = |x: f64, y: f64| {
            if one { self.kind.of_one(x) } else { log_of_base(x, y) }
        };
        let DataType::Decimal128(_, to) = *result else {
            let (x, y) = (Operand::<Float64Type>::of(first)?, Operand::<Float64Type>::of(second)?);
            let values: Operand<Float64Type> = try_zip(
                &x,
                &y,
                |x, y| compute(x, y).map_or((0.0, true), |v| (v, false)),
                |x, y| compute(x, y).err().unwrap_or_else(float_overflow),
            )?;
            return values.finish(result);
        };
        let s1 = precision_scale(&first.data_type())?.1;
        let s2 = precision_scale(&second.data_type())?.1;
        let compute = |x: i128, y: i128| {
            let value = compute(double_of_decimal(x, s1), double_of_decimal(y, s2))?;
            decimal::from_f64(value, 17, to).ok_or_else(decimal::overflow)
        };
        let (x, y) =
            (Operand::<Decimal128Type>::of(first)?, Operand::<Decimal128Type>::of(second)?);
        let values: Operand<Decimal128Type> = try_zip(
            &x,
            &y,
            |x, y| compute(x, y).map_or((0, true), |v| (v, false)),
            |x, y| compute(x, y).err().unwrap_or_else(decimal::overflow),
        )?;
        values.finish(result)
    }
}
