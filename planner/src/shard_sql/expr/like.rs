//! LIKE with a constant pattern, whose escape character is `\`.

use datafusion::physical_expr::expressions::LikeExpr;

use super::{Translation, operand::Sql};

impl Translation<'_> {
    /// A `char(n)` is matched as Kestrel holds it, without its blanks: where these count, the
    /// planner has put them back with a function, which is not pushed.
    pub(super) fn like(&self, like: &LikeExpr) -> Option<Sql> {
        if like.case_insensitive() {
            return None;
        }
        let operand = self.of(like.expr())?;
        let pattern = self.of(like.pattern())?;
        let text = self.held_text(&operand)?;
        if !is_plain(pattern.constant_text()?) {
            return None;
        }
        let not = if like.negated() { "NOT " } else { "" };
        // Said where it matters: without ESCAPE, Oracle's LIKE has no escape character.
        let escape = match pattern.text.contains('\\') {
            true => " ESCAPE '\\'",
            false => "",
        };
        Some(Sql::boolean(format!("({text} {not}LIKE {}{escape})", pattern.text)))
    }
}

/// Whether `\` stands only before what it is for: `%`, `_`, `\`. At the end it is an error, which
/// must not come for rows that nobody looks at.
fn is_plain(pattern: &str) -> bool {
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        if char == '\\' && !matches!(chars.next(), Some('%' | '_' | '\\')) {
            return false;
        }
    }
    true
}
