//! CASE and COALESCE: one of several values of one kind.

use datafusion::{logical_expr::Operator, physical_expr::expressions::CaseExpr};

use super::{
    Translation,
    operand::{Kind, Sql},
};

impl Translation<'_> {
    /// With an operand it is written as conditions: each is a comparison like any other.
    pub(super) fn case(&self, case: &CaseExpr) -> Option<Sql> {
        let operand = match case.expr() {
            Some(operand) => Some(self.of(operand)?),
            None => None,
        };
        let mut conditions = Vec::new();
        let mut results = Vec::new();
        for (when, then) in case.when_then_expr() {
            conditions.push(match &operand {
                None => self.boolean(when)?,
                Some(operand) => self.comparison(Operator::Eq, operand, &self.of(when)?)?,
            });
            results.push(self.of(then)?);
        }
        if let Some(otherwise) = case.else_expr() {
            results.push(self.of(otherwise)?);
        }
        let kind = common_kind(&results)?;
        let texts = self.all_in_kind(&results, kind)?;
        let mut text = String::from("(CASE");
        for (condition, then) in conditions.iter().zip(&texts) {
            text.push_str(&format!(" WHEN {} THEN {then}", condition.text));
        }
        if let Some(otherwise) = texts.get(conditions.len()) {
            text.push_str(&format!(" ELSE {otherwise}"));
        }
        text.push_str(" END)");
        Some(Sql::new(text, kind))
    }

    /// `COALESCE(a, b, …)`
    pub(super) fn coalesce(&self, arguments: &[Sql]) -> Option<Sql> {
        let kind = common_kind(arguments)?;
        let texts = self.all_in_kind(arguments, kind)?;
        Some(Sql::new(format!("COALESCE({})", texts.join(", ")), kind))
    }

    /// Texts of several columns have one collation, or nothing could be compared with the result.
    fn all_in_kind(&self, values: &[Sql], kind: Kind) -> Option<Vec<String>> {
        let in_kind = |value: &Sql| match (kind, &value.constant) {
            (Kind::Text, None) => Some(format!("({} COLLATE \"C\")", self.held_text(value)?)),
            (Kind::Text, Some(_)) => self.held_text(value),
            (Kind::Char, _) => Some(format!("({} COLLATE \"C\")", value.text)),
            _ => Some(value.text.clone()),
        };
        values.iter().map(in_kind).collect()
    }
}

fn common_kind(values: &[Sql]) -> Option<Kind> {
    let (first, rest) = values.split_first()?;
    rest.iter().try_fold(first.kind, |kind, value| kind.common(value.kind))
}
