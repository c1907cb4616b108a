//! Trigonometry in degrees, exact where the result is (`dsind` and its relatives in PostgreSQL's
//! float.c): values of the first quadrant are divided by what the library makes of the known ones.

use kestrel_proto::{ErrorReport, Result, SqlState};

use crate::functions::row::{Datum, Function, Type::Double, strict};

pub(crate) const DEGREE_FUNCTIONS: &[Function] = &[
    Function {
        name: "acosd",
        overloads: &[strict(&[Double], Double, |_, a| {
            inverse(&a[0], |x| match x >= 0.0 {
                true => acosd_q1(x),
                false => 90.0 + asind_q1(-x),
            })
        })],
    },
    Function {
        name: "asind",
        overloads: &[strict(&[Double], Double, |_, a| {
            inverse(&a[0], |x| match x >= 0.0 {
                true => asind_q1(x),
                false => -asind_q1(-x),
            })
        })],
    },
    Function {
        name: "atan2d",
        overloads: &[strict(&[Double, Double], Double, |_, a| {
            Ok(Datum::Double(number(&a[0]).atan2(number(&a[1])) / 1f64.atan() * 45.0))
        })],
    },
    Function {
        name: "atand",
        overloads: &[strict(&[Double], Double, |_, a| {
            Ok(Datum::Double(number(&a[0]).atan() / 1f64.atan() * 45.0))
        })],
    },
    Function {
        name: "cosd",
        overloads: &[strict(&[Double], Double, |_, a| {
            circular(&a[0], |angle| angle.of_cosine * cosd_q1(angle.degrees))
        })],
    },
    Function {
        name: "cotd",
        overloads: &[strict(&[Double], Double, |_, a| {
            circular(&a[0], |angle| {
                let cotangent = |x: f64| cosd_q1(x) / sind_q1(x);
                angle.of_tangent * (cotangent(angle.degrees) / cotangent(45.0))
            })
        })],
    },
    Function {
        name: "sind",
        overloads: &[strict(&[Double], Double, |_, a| {
            circular(&a[0], |angle| angle.of_sine * sind_q1(angle.degrees))
        })],
    },
    Function {
        name: "tand",
        overloads: &[strict(&[Double], Double, |_, a| {
            circular(&a[0], |angle| {
                let tangent = |x: f64| sind_q1(x) / cosd_q1(x);
                angle.of_tangent * (tangent(angle.degrees) / tangent(45.0))
            })
        })],
    },
];

fn number(value: &Datum) -> f64 {
    value.double().unwrap_or(f64::NAN)
}

fn out_of_range() -> ErrorReport {
    ErrorReport::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

/// An angle in the first quadrant, and the signs of the functions of the one that it stands for.
struct Angle {
    degrees: f64,
    of_sine: f64,
    of_cosine: f64,
    of_tangent: f64,
}

fn circular(value: &Datum, function: fn(Angle) -> f64) -> Result<Datum> {
    let value = number(value);
    if value.is_infinite() {
        return Err(out_of_range());
    }
    let mut degrees = value % 360.0;
    let (mut of_sine, mut of_cosine, mut of_tangent) = (1.0, 1.0, 1.0);
    if degrees < 0.0 {
        (degrees, of_sine, of_tangent) = (-degrees, -of_sine, -of_tangent);
    }
    if degrees > 180.0 {
        (degrees, of_sine, of_tangent) = (360.0 - degrees, -of_sine, -of_tangent);
    }
    if degrees > 90.0 {
        (degrees, of_cosine, of_tangent) = (180.0 - degrees, -of_cosine, -of_tangent);
    }
    let result = function(Angle { degrees, of_sine, of_cosine, of_tangent });
    // No negative zero.
    Ok(Datum::Double(if result == 0.0 { 0.0 } else { result }))
}

fn inverse(value: &Datum, function: fn(f64) -> f64) -> Result<Datum> {
    let value = number(value);
    if value.is_nan() {
        return Ok(Datum::Double(value));
    }
    match (-1.0..=1.0).contains(&value) {
        true => Ok(Datum::Double(function(value))),
        false => Err(out_of_range()),
    }
}

fn sind_0_to_30(x: f64) -> f64 {
    x.to_radians().sin() / 30f64.to_radians().sin() / 2.0
}

fn cosd_0_to_60(x: f64) -> f64 {
    let one_minus_cosine = |x: f64| 1.0 - x.to_radians().cos();
    1.0 - one_minus_cosine(x) / one_minus_cosine(60.0) / 2.0
}

fn sind_q1(x: f64) -> f64 {
    if x <= 30.0 { sind_0_to_30(x) } else { cosd_0_to_60(90.0 - x) }
}

fn cosd_q1(x: f64) -> f64 {
    if x <= 60.0 { cosd_0_to_60(x) } else { sind_0_to_30(90.0 - x) }
}

fn asind_q1(x: f64) -> f64 {
    match x <= 0.5 {
        true => x.asin() / 0.5f64.asin() * 30.0,
        false => 90.0 - x.acos() / 0.5f64.acos() * 60.0,
    }
}

fn acosd_q1(x: f64) -> f64 {
    match x <= 0.5 {
        true => 90.0 - x.asin() / 0.5f64.asin() * 30.0,
        false => x.acos() / 0.5f64.acos() * 60.0,
    }
}
