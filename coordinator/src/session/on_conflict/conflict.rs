//! What ON CONFLICT says, as parts of queries.

use arrow::array::RecordBatch;
use datafusion::sql::sqlparser::ast;
use kestrel_planner::{
    bind::GivenRows,
    catalog::{KeyDef, TableDef},
    parse::quote,
};
use kestrel_proto::{ErrorReport, Result};

use super::{
    super::{
        change_rows::Change,
        own_query::own_query,
        returning::{ROW_NUMBER, alias_of, inserted_table, numbered},
    },
    arbiter::arbiters,
    malformed,
};

/// The name of the proposed rows in our queries; in the statement they are `excluded`.
pub(super) const PROPOSED: &str = "kestrel proposed rows";

/// What ON CONFLICT says, as parts of queries over the table and the proposed rows.
pub(super) struct Conflict {
    /// The keys that are looked at; of DO UPDATE one.
    pub(super) arbiters: Vec<KeyDef>,
    target: ast::TableWithJoins,
    /// `proposed rows AS excluded`
    proposed: Vec<ast::TableWithJoins>,
    /// Of each key, that two rows have the same.
    meets: Vec<ast::Expr>,
    pub(super) update: Option<ast::DoUpdate>,
}

impl Conflict {
    /// What it says about this table.
    pub(super) fn of(insert: &ast::Insert, on: &ast::OnInsert, table: &TableDef) -> Result<Self> {
        let ast::OnInsert::OnConflict(on) = on else {
            return Err(ErrorReport::unsupported("ON DUPLICATE KEY is not supported")
                .hint("Use ON CONFLICT."));
        };
        let arbiters = arbiters(on, table)?;
        let target = inserted_table(insert)?;
        let (alias, _) = alias_of(&target)?;
        let meets =
            arbiters.iter().map(|key| meeting(key, table, &alias)).collect::<Result<_>>()?;
        let update = match &on.action {
            ast::OnConflictAction::DoUpdate(update) => Some(update.clone()),
            ast::OnConflictAction::DoNothing => None,
        };
        let proposed = format!("SELECT 1 FROM {} AS excluded", quote(PROPOSED));
        let proposed = from_of(own_query(&proposed)?)?;
        Ok(Self { arbiters, target, proposed, meets, update })
    }

    /// As a change of the rows that are met by this key.
    pub(super) fn change(&self, key: usize) -> Result<Change<'_>> {
        let assignments = self.update.as_ref().map(|update| update.assignments.as_slice());
        let meets = self.meets.get(key);
        Change::of_conflict(&self.target, assignments.unwrap_or_default(), (&self.proposed, meets))
    }

    /// WHERE of DO UPDATE.
    pub(super) fn condition(&self) -> Option<&ast::Expr> {
        self.update.as_ref().and_then(|update| update.selection.as_ref())
    }

    /// `SELECT number of the proposed row, whether WHERE holds FROM table, proposed WHERE they meet`
    pub(super) fn search(&self, key: usize) -> Result<ast::Query> {
        let number = format!("SELECT excluded.{}, true", quote(ROW_NUMBER));
        let ast::SetExpr::Select(select) = *own_query(&number)?.body else {
            return Err(ErrorReport::internal("a query of our own is none"));
        };
        let mut outputs = select.projection;
        if let Some(condition) = self.condition() {
            let holds = ast::Expr::Nested(Box::new(condition.clone()));
            let holds = ast::Expr::IsTrue(Box::new(holds));
            let alias = ast::Ident::with_quote('"', "kestrel holds");
            outputs.pop();
            outputs.push(ast::SelectItem::ExprWithAlias { expr: holds, alias });
        }
        self.change(key)?.select(self.target.clone(), outputs)
    }
}

/// The proposed rows, numbered.
pub(super) fn proposed(rows: RecordBatch) -> Result<GivenRows> {
    let rows = numbered(rows.schema().fields(), rows.columns())?;
    Ok(GivenRows { name: PROPOSED.into(), rows })
}

/// `table.a = excluded.a AND table.b = excluded.b`
fn meeting(key: &KeyDef, table: &TableDef, alias: &str) -> Result<ast::Expr> {
    let columns = key.columns.iter().filter_map(|id| table.column_by_id(*id));
    let same = columns.map(|column| {
        let (alias, name) = (quote(alias), quote(&column.name));
        format!("{alias}.{name} = excluded.{name}")
    });
    let same: Vec<_> = same.collect();
    let query = own_query(&format!("SELECT 1 WHERE {}", same.join(" AND ")))?;
    match *query.body {
        ast::SetExpr::Select(select) => select.selection.ok_or_else(malformed),
        _ => Err(malformed()),
    }
}

fn from_of(query: ast::Query) -> Result<Vec<ast::TableWithJoins>> {
    match *query.body {
        ast::SetExpr::Select(select) => Ok(select.from),
        _ => Err(malformed()),
    }
}

/// What stands between SELECT and FROM.
pub(super) fn projection_of(sql: &str) -> Result<Vec<ast::SelectItem>> {
    match *own_query(sql)?.body {
        ast::SetExpr::Select(select) => Ok(select.projection),
        _ => Err(malformed()),
    }
}
