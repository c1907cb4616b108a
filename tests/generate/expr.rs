//! Scalar expressions of a wanted type.
//!
//! Ordinary expressions cannot fail: arithmetic is over small values only, divisors pass NULLIF,
//! casts go where they always can. So it does not matter in which order, or on which rows, an
//! engine evaluates them. Queries that fail are made in `failing.rs`.

use super::{
    Generator,
    schema::{domain, literal},
    types::{Expr, Scope, Type},
};

impl Generator<'_> {
    /// An expression for arithmetic: exact, of small values.
    pub(crate) fn expr(&mut self, scope: &Scope, ty: Type, depth: usize) -> Expr {
        if depth == 0 || self.rng.chance(35) {
            return self.leaf(scope, ty);
        }
        match self.rng.weighted(&[12, 10, 6, 6, 66]) {
            0 => self.case(scope, ty, depth - 1),
            1 => self.coalesce(scope, ty, depth - 1),
            2 => self.nullif(scope, ty, depth - 1),
            3 => self.greatest(scope, ty, depth - 1),
            _ => self.function(scope, ty, depth - 1),
        }
    }

    /// An expression for comparing, grouping and aggregating: its values may be near the bounds.
    pub(crate) fn value(&mut self, scope: &Scope, ty: Type, depth: usize) -> Expr {
        if self.rng.chance(58)
            && let Some(column) = self.column(scope, |c| c.ty == ty && !c.inexact)
        {
            if column.wide {
                self.features.note("wide integers");
            }
            return column;
        }
        self.expr(scope, ty, depth)
    }

    /// An expression for the select list: it may also be inexact.
    pub(crate) fn output(&mut self, scope: &Scope, ty: Type, depth: usize) -> Expr {
        if self.rng.chance(25)
            && let Some(column) = self.column(scope, |c| c.ty == ty)
        {
            return column;
        }
        if ty == Type::Numeric && self.rng.chance(12) {
            let (a, b) = (self.expr(scope, ty, 1), self.leaf(scope, ty));
            return Expr::new(ty, format!("({} / NULLIF({}, 0))", a.sql, b.sql))
                .wide(true)
                .inexact(true);
        }
        self.value(scope, ty, depth)
    }

    /// A random column of the scope that is accepted.
    pub(crate) fn column(&mut self, scope: &Scope, accept: impl Fn(&Expr) -> bool) -> Option<Expr> {
        let accepted: Vec<&Expr> = scope.columns.iter().filter(|c| accept(c)).collect();
        (!accepted.is_empty()).then(|| (*self.rng.pick(&accepted)).clone())
    }

    /// A type, mostly one that the scope has columns of.
    pub(crate) fn any_type(&mut self, scope: &Scope) -> Type {
        if self.rng.chance(94)
            && let Some(column) = self.column(scope, |c| !c.inexact)
        {
            return column.ty;
        }
        *self.rng.pick(&Type::ALL)
    }

    /// A literal of a small value of this type.
    pub(crate) fn literal(&mut self, ty: Type) -> Expr {
        let value = *self.rng.pick(domain(ty));
        Expr::new(ty, literal(ty, value))
    }

    fn leaf(&mut self, scope: &Scope, ty: Type) -> Expr {
        if self.rng.chance(88)
            && let Some(column) = self.column(scope, |c| c.ty == ty && !c.wide && !c.inexact)
        {
            return column;
        }
        if self.rng.chance(4) {
            return Expr::new(ty, format!("NULL::{}", ty.sql()));
        }
        self.literal(ty)
    }

    fn case(&mut self, scope: &Scope, ty: Type, depth: usize) -> Expr {
        self.features.note("case");
        let mut sql = "CASE".to_string();
        let subject = self.any_type(scope);
        let simple = self.rng.chance(25);
        let mut wide = false;
        if simple {
            sql += &format!(" {}", self.value(scope, subject, depth).sql);
        }
        for _ in 0..self.rng.between(1, 2) {
            let when = match simple {
                true => self.literal(subject).sql,
                false => self.predicate(scope, depth),
            };
            let then = self.expr(scope, ty, depth);
            sql += &format!(" WHEN {when} THEN {}", then.sql);
            wide |= then.wide;
        }
        if self.rng.chance(70) {
            let otherwise = self.expr(scope, ty, depth);
            sql += &format!(" ELSE {}", otherwise.sql);
            wide |= otherwise.wide;
        }
        Expr::new(ty, sql + " END").wide(wide)
    }

    fn coalesce(&mut self, scope: &Scope, ty: Type, depth: usize) -> Expr {
        self.features.note("coalesce");
        let (a, b) = (self.expr(scope, ty, depth), self.leaf(scope, ty));
        Expr::new(ty, format!("COALESCE({}, {})", a.sql, b.sql)).wide(a.wide)
    }

    fn nullif(&mut self, scope: &Scope, ty: Type, depth: usize) -> Expr {
        self.features.note("nullif");
        let (a, b) = (self.expr(scope, ty, depth), self.leaf(scope, ty));
        Expr::new(ty, format!("NULLIF({}, {})", a.sql, b.sql)).wide(a.wide)
    }

    fn greatest(&mut self, scope: &Scope, ty: Type, depth: usize) -> Expr {
        let name = *self.rng.pick(&["GREATEST", "LEAST"]);
        let (a, b) = (self.expr(scope, ty, depth), self.leaf(scope, ty));
        Expr::new(ty, format!("{name}({}, {})", a.sql, b.sql)).wide(a.wide)
    }

    fn function(&mut self, scope: &Scope, ty: Type, depth: usize) -> Expr {
        match ty {
            Type::SmallInt => self.smallint(scope, depth),
            Type::Int => self.int(scope, depth),
            Type::BigInt => self.bigint(scope, depth),
            Type::Numeric => self.numeric(scope, depth),
            Type::Double => self.double(scope, depth),
            Type::Text => self.text(scope, depth),
            Type::Char => self.leaf(scope, ty),
            Type::Bool => Expr::new(ty, format!("({})", self.predicate(scope, depth))),
            Type::Date => self.date(scope, depth),
            Type::Timestamp => self.timestamp(scope, depth),
        }
    }

    fn smallint(&mut self, scope: &Scope, depth: usize) -> Expr {
        let a = self.small(scope, Type::SmallInt, depth);
        let b = self.leaf(scope, Type::SmallInt).sql;
        match self.rng.below(5) {
            0 => Expr::new(Type::SmallInt, format!("({a} + {b})")).wide(true),
            1 => Expr::new(Type::SmallInt, format!("({a} - {b})")).wide(true),
            2 => Expr::new(Type::SmallInt, format!("({a} * {b})")).wide(true),
            3 => Expr::new(Type::SmallInt, format!("(- {a})")),
            _ => Expr::new(Type::SmallInt, format!("abs({a})")),
        }
    }

    fn int(&mut self, scope: &Scope, depth: usize) -> Expr {
        if self.rng.chance(35) {
            return self.int_from_other(scope, depth);
        }
        let other = if self.rng.chance(25) { Type::SmallInt } else { Type::Int };
        self.integer_arithmetic(scope, Type::Int, other, depth)
    }

    fn bigint(&mut self, scope: &Scope, depth: usize) -> Expr {
        if self.rng.chance(20) {
            let a = self.expr(scope, Type::Int, depth);
            return Expr::new(Type::BigInt, format!("({})::bigint", a.sql)).wide(a.wide);
        }
        let other = *self.rng.pick(&[Type::SmallInt, Type::Int, Type::BigInt]);
        self.integer_arithmetic(scope, Type::BigInt, other, depth)
    }

    fn integer_arithmetic(&mut self, scope: &Scope, ty: Type, other: Type, depth: usize) -> Expr {
        let a = self.small(scope, ty, depth);
        let b = self.leaf(scope, other).sql;
        match self.rng.below(8) {
            0 => Expr::new(ty, format!("({a} + {b})")),
            1 => Expr::new(ty, format!("({a} - {b})")),
            2 => Expr::new(ty, format!("({a} * {b})")).wide(true),
            3 => Expr::new(ty, format!("({a} / NULLIF({b}, 0))")),
            4 => Expr::new(ty, format!("({a} % NULLIF({b}, 0))")),
            5 => Expr::new(ty, format!("(- {a})")),
            6 => Expr::new(ty, format!("abs({a})")),
            _ => Expr::new(ty, format!("mod({a}, 3)")),
        }
    }

    /// An expression that arithmetic may use: of small values.
    fn small(&mut self, scope: &Scope, ty: Type, depth: usize) -> String {
        let expr = self.expr(scope, ty, depth);
        if expr.wide { self.leaf(scope, ty).sql } else { expr.sql }
    }

    fn int_from_other(&mut self, scope: &Scope, depth: usize) -> Expr {
        let sql = match self.rng.below(6) {
            0 => {
                self.features.note("date arithmetic");
                let (a, b) = (self.expr(scope, Type::Date, depth), self.leaf(scope, Type::Date));
                return Expr::new(Type::Int, format!("({} - {})", a.sql, b.sql)).wide(true);
            }
            1 => format!("length({})", self.expr(scope, Type::Text, depth).sql),
            2 => {
                let (a, b) = (self.leaf(scope, Type::Text), self.literal(Type::Text));
                format!("strpos({}, {})", a.sql, b.sql)
            }
            3 => {
                let n = self.leaf(scope, Type::Numeric).sql;
                return Expr::new(Type::Int, format!("({n})::int")).wide(true);
            }
            4 => format!("({})::int", self.predicate(scope, depth)),
            _ => format!("({})::int", self.extract(scope, depth)),
        };
        Expr::new(Type::Int, sql)
    }

    fn extract(&mut self, scope: &Scope, depth: usize) -> String {
        self.features.note("extract");
        let field =
            *self.rng.pick(&["year", "month", "day", "dow", "isodow", "doy", "quarter", "week"]);
        let ty = if self.rng.chance(70) { Type::Date } else { Type::Timestamp };
        format!("extract({field} FROM {})", self.expr(scope, ty, depth).sql)
    }

    fn numeric(&mut self, scope: &Scope, depth: usize) -> Expr {
        let a = self.small(scope, Type::Numeric, depth);
        let b = match self.rng.chance(30) {
            true => self.leaf(scope, Type::Int).sql,
            false => self.leaf(scope, Type::Numeric).sql,
        };
        let ty = Type::Numeric;
        match self.rng.below(10) {
            0 | 1 => Expr::new(ty, format!("({a} + {b})")),
            2 => Expr::new(ty, format!("({a} - {b})")),
            3 => Expr::new(ty, format!("({} * {b})", self.leaf(scope, ty).sql)).wide(true),
            4 => Expr::new(ty, format!("round({a}, 1)")),
            5 => Expr::new(ty, format!("round({a})")),
            6 => Expr::new(ty, format!("{}({a})", self.rng.pick(&["ceil", "floor", "trunc"]))),
            7 => Expr::new(ty, format!("abs({a})")),
            8 => {
                let int = self.expr(scope, Type::Int, depth);
                Expr::new(ty, format!("({})::numeric(20,4)", int.sql)).wide(int.wide)
            }
            _ => Expr::new(ty, self.extract(scope, depth)),
        }
    }

    fn double(&mut self, scope: &Scope, depth: usize) -> Expr {
        let a = self.expr(scope, Type::Double, depth).sql;
        let b = self.leaf(scope, Type::Double).sql;
        let sql = match self.rng.below(8) {
            0 => format!("({a} + {b})"),
            1 => format!("({a} - {b})"),
            2 => format!("({} * {b})", self.leaf(scope, Type::Double).sql),
            3 => format!("({a} / NULLIF({b}, 0))"),
            4 => format!("{}({a})", self.rng.pick(&["ceil", "floor", "round", "trunc", "abs"])),
            5 => format!("sqrt(abs({a}))"),
            6 => format!("({})::double precision", self.expr(scope, Type::Int, depth).sql),
            _ => format!("(- {a})"),
        };
        Expr::new(Type::Double, sql)
    }

    fn text(&mut self, scope: &Scope, depth: usize) -> Expr {
        self.features.note("string function");
        let a = self.expr(scope, Type::Text, depth).sql;
        let b = self.leaf(scope, Type::Text).sql;
        let n = self.rng.below(4);
        let sql = match self.rng.below(18) {
            0 | 1 => format!("({a} || {b})"),
            2 => format!("{}({a})", self.rng.pick(&["upper", "lower", "initcap", "reverse"])),
            3 => format!("substring({a} FROM {n} FOR 2)"),
            4 => format!("substr({a}, {})", n + 1),
            5 => format!("{}({a}, {})", self.rng.pick(&["left", "right"]), n as i64 - 1),
            6 => format!("{}({a})", self.rng.pick(&["trim", "btrim", "ltrim", "rtrim"])),
            7 => format!("replace({a}, {b}, '-')"),
            8 => format!("{}({a}, {n}, 'xy')", self.rng.pick(&["lpad", "rpad"])),
            9 => format!("concat({a}, {b}, '!')"),
            10 => format!("repeat({b}, {n})"),
            11 => format!("({})::text", self.expr(scope, Type::Int, depth).sql),
            12 => format!("({})::text", self.expr(scope, Type::Bool, depth).sql),
            13 => format!("({})::text", self.expr(scope, Type::Date, depth).sql),
            14 => format!("({})::text", self.leaf(scope, Type::Char).sql),
            15 => format!("split_part({a}, 'a', {})", n + 1),
            16 => format!("translate({a}, 'ab', 'x')"),
            _ => format!("({b} || {})", self.expr(scope, Type::Int, depth).sql),
        };
        Expr::new(Type::Text, sql)
    }

    fn date(&mut self, scope: &Scope, depth: usize) -> Expr {
        self.features.note("date arithmetic");
        let a = self.expr(scope, Type::Date, depth).sql;
        let unit = *self.rng.pick(&["1 month", "1 year", "-1 day", "1 month 3 days"]);
        let sql = match self.rng.below(6) {
            0 => format!("({a} + {})", self.leaf(scope, Type::Int).sql),
            1 => format!("({a} - {})", self.leaf(scope, Type::Int).sql),
            2 => format!("({a} + INTERVAL '{unit}')::date"),
            3 => format!("({a} - INTERVAL '{unit}')::date"),
            4 => {
                let truncated = self.date_trunc(scope, depth);
                format!("({truncated})::date")
            }
            _ => format!("({})::date", self.expr(scope, Type::Timestamp, depth).sql),
        };
        Expr::new(Type::Date, sql)
    }

    fn timestamp(&mut self, scope: &Scope, depth: usize) -> Expr {
        let unit = *self.rng.pick(&["1 day", "90 minutes", "1 month", "-0.5 seconds"]);
        let sql = match self.rng.below(4) {
            0 => format!("({})::timestamp", self.expr(scope, Type::Date, depth).sql),
            1 => format!("({} + INTERVAL '{unit}')", self.leaf(scope, Type::Timestamp).sql),
            2 => format!("({} + INTERVAL '{unit}')", self.leaf(scope, Type::Date).sql),
            _ => self.date_trunc(scope, depth),
        };
        Expr::new(Type::Timestamp, sql)
    }

    fn date_trunc(&mut self, scope: &Scope, depth: usize) -> String {
        let field = *self.rng.pick(&["year", "quarter", "month", "week", "day", "hour"]);
        format!("date_trunc('{field}', {})", self.expr(scope, Type::Timestamp, depth).sql)
    }
}
