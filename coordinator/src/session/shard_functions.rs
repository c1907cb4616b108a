//! Functions about tables whose rows databases hold, each the whole of a statement:
//!
//! ```sql
//! SELECT kestrel.check_distribution('s.t');                       -- rows that are in a wrong place
//! SELECT kestrel.adopt_table('s.t', 'DISTRIBUTED BY (a)');         -- the same, and the table is ours
//! ```

use std::sync::Arc;

use arrow::{
    array::{Int64Array, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use datafusion::sql::sqlparser::ast;
use futures::stream;
use kestrel_planner::{
    access,
    catalog::{CatalogChange, KES, SqlType, TableDef, resolve_table},
    ddl,
    error::report,
    parse::{QualifiedName, StatementKind, parse, quote},
    shard_sql::{Relation, maintenance},
};
use kestrel_proto::{DatanodeId, ErrorReport, Result, ShardRows, SqlState};

use super::{ClientSession, NoticeSender, Outcome, OutputField, RowsTag, own_query::own_query};

/// One of them, with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ShardFunction {
    CheckDistribution { table: String },
    AdoptTable { table: String, distribution: String },
}

impl ShardFunction {
    /// The function that a query is nothing but.
    pub(super) fn of(query: &ast::Query) -> Option<Self> {
        let ast::SetExpr::Select(select) = query.body.as_ref() else { return None };
        let [ast::SelectItem::UnnamedExpr(ast::Expr::Function(function))] =
            select.projection.as_slice()
        else {
            return None;
        };
        let name = function.name.to_string().to_lowercase();
        let name = name.strip_prefix("kestrel.").filter(|_| select.from.is_empty())?;
        let ast::FunctionArguments::List(list) = &function.args else { return None };
        let arguments = list.args.iter().map(text).collect::<Option<Vec<_>>>()?;
        match (name, arguments.as_slice()) {
            ("check_distribution", [table]) => {
                Some(Self::CheckDistribution { table: table.clone() })
            }
            ("adopt_table", [table, distribution]) => {
                Some(Self::AdoptTable { table: table.clone(), distribution: distribution.clone() })
            }
            _ => None,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::CheckDistribution { .. } => "check_distribution",
            Self::AdoptTable { .. } => "adopt_table",
        }
    }

    /// The one column of its result.
    pub(super) fn field(&self) -> OutputField {
        let name = self.name().into();
        OutputField { name, sql_type: SqlType::BigInt, table_oid: 0, column_number: 0 }
    }
}

/// A constant text.
fn text(argument: &ast::FunctionArg) -> Option<String> {
    let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Value(value))) = argument
    else {
        return None;
    };
    value.value.clone().into_string()
}

impl ClientSession {
    /// Runs one of the functions.
    pub(super) async fn shard_function(
        &mut self,
        function: &ShardFunction,
        notices: &NoticeSender,
    ) -> Result<Outcome> {
        let number = match function {
            ShardFunction::CheckDistribution { table } => {
                let view = self.transaction.view(&self.engine);
                let name = named(table)?;
                let table = Arc::clone(resolve_table(&view, &self.search_path(&view), &name)?);
                self.check_select(&table, &table.column_ids())?;
                if !table.is_on_shards() {
                    let message = format!("table \"{}\" is not held by databases", table.name);
                    return Err(ErrorReport::new(SqlState::WRONG_OBJECT_TYPE, message));
                }
                let (_, misplaced) = self.placement(&table, notices).await?;
                misplaced
            }
            ShardFunction::AdoptTable { table, distribution } => {
                self.adopt(table, distribution, notices).await?
            }
        };
        let field = function.field();
        let schema = Arc::new(Schema::new(vec![Field::new(&field.name, DataType::Int64, false)]));
        let column = Arc::new(Int64Array::from(vec![number]));
        let batch = RecordBatch::try_new(schema, vec![column]).map_err(|e| report(e.into()));
        let rows = Box::pin(stream::iter([batch]));
        Ok(Outcome::Rows { fields: vec![field], rows, tag: RowsTag::Counted("SELECT") })
    }

    /// Rows per datanode, and how many of all are where they do not belong.
    async fn placement(
        &self,
        table: &TableDef,
        notices: &NoticeSender,
    ) -> Result<(Vec<(DatanodeId, i64)>, i64)> {
        let map = &self.engine.catalog.snapshot().bucket_map;
        let datanodes = self.engine.cluster.datanodes.iter().map(|d| d.id());
        let questions = datanodes.map(|id| Ok((id, maintenance::misplaced(table, id, map)?)));
        let questions = questions.collect::<Result<Vec<_>>>()?;
        let (mut rows, mut misplaced) = (Vec::new(), 0);
        for (id, answer) in self.ask_each_shard(questions).await? {
            let [all, wrong] = maintenance::numbers(&answer.rows)?;
            rows.push((id, all));
            misplaced += wrong;
            if wrong > 0 {
                let message = format!(
                    "{wrong} of {all} rows of table \"{}\" on datanode \"{id}\" belong elsewhere",
                    table.name
                );
                notices.send(ErrorReport::warning(SqlState::WARNING, message));
            }
        }
        Ok((rows, misplaced))
    }

    /// Registers a table that the databases have already; its number of rows.
    async fn adopt(
        &mut self,
        table: &str,
        distribution: &str,
        notices: &NoticeSender,
    ) -> Result<i64> {
        self.check_writable("adopt_table()")?;
        self.lock_ddl().await?;
        let view = self.transaction.view(&self.engine);
        if view.shard_kind() != KES {
            return Err(ErrorReport::unsupported("no database holds rows in this cluster"));
        }
        let mut name = named(table)?;
        let search_path = self.search_path(&view);
        self.check_schema(name.schema.as_ref(), &view)?;
        let schema = name.schema.get_or_insert_with(|| "public".into()).clone();
        let answers = self.ask_shards(&maintenance::columns(&schema, &name.name)?).await?;
        let create = create_statement(&schema, &name.name, distribution, &answers)?;
        let statement = parse(&create)?.into_iter().next().map(|statement| statement.kind);
        let Some(StatementKind::Ddl(statement)) = statement else {
            return Err(ErrorReport::internal("a table's definition is none"));
        };
        let identity = self.identity(&view);
        access::check_statement(&statement, &view, &search_path, identity.current)?;
        let plan = ddl::plan(&statement, &view, &search_path)?;
        plan.notices.iter().for_each(|notice| notices.send(notice.clone()));
        let adopted = plan.created_table().cloned();
        let adopted = adopted.ok_or_else(|| ErrorReport::internal("no table was made"))?;
        let (rows, misplaced) = self.placement(&adopted, notices).await?;
        if misplaced > 0 {
            let message = format!("{misplaced} rows of table \"{}\" are misplaced", adopted.name);
            return Err(ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
                .hint("Move them to the datanodes that the distribution says, or name another."));
        }
        // The databases have it: only the catalog changes.
        self.transaction.change(&self.engine, plan.changes)?;
        let count = |(id, rows): &(DatanodeId, i64)| CatalogChange::SetShardRows {
            table: adopted.id,
            shard_rows: kestrel_planner::catalog::ShardRows {
                datanode: id.0,
                rows: rows.max(&0).cast_unsigned(),
                bytes: 0,
            },
        };
        self.transaction.follow(&self.engine, rows.iter().map(count).collect())?;
        Ok(rows.iter().map(|(_, rows)| rows).sum())
    }
}

/// `s.t`, as in SQL.
fn named(text: &str) -> Result<QualifiedName> {
    let invalid = || ErrorReport::new(SqlState::INVALID_NAME, format!("invalid name: \"{text}\""));
    let query = own_query(&format!("SELECT 1 FROM {text}")).map_err(|_| invalid())?;
    let ast::SetExpr::Select(select) = *query.body else { return Err(invalid()) };
    let [ast::TableWithJoins { relation, joins }] = select.from.as_slice() else {
        return Err(invalid());
    };
    match relation {
        ast::TableFactor::Table { name, alias: None, args: None, .. } if joins.is_empty() => {
            QualifiedName::of_ast(name)
        }
        _ => Err(invalid()),
    }
}

/// The CREATE TABLE of a table that all databases have alike.
///
/// Errors: 42P01, it is not there; 55000, it is not the same everywhere.
fn create_statement(
    schema: &str,
    table: &str,
    distribution: &str,
    answers: &[(DatanodeId, ShardRows)],
) -> Result<String> {
    let relation = Relation { schema: schema.into(), name: table.into() }.quoted()?;
    let missing = answers.iter().find(|(_, answer)| answer.rows.is_empty());
    if let Some((id, _)) = missing {
        let message =
            format!("table {relation} does not exist in the database of datanode \"{id}\"");
        return Err(ErrorReport::new(SqlState::UNDEFINED_TABLE, message));
    }
    let Some(((first_id, first), others)) = answers.split_first() else {
        return Err(ErrorReport::internal("a cluster without datanodes"));
    };
    if let Some((id, _)) = others.iter().find(|(_, answer)| answer.rows != first.rows) {
        let message =
            format!("table {relation} is different on datanodes \"{first_id}\" and \"{id}\"");
        return Err(ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
            .hint("Make its columns and its primary key the same in all databases."));
    }
    let (mut elements, mut key) = (Vec::new(), Vec::new());
    for row in &first.rows {
        let [Some(name), Some(sql_type), not_null, place] = row.as_slice() else {
            return Err(ErrorReport::internal("a database told of a column in another form"));
        };
        let is_not_null = not_null.as_deref().is_some_and(|text| text.starts_with('t'));
        let null = if is_not_null { " NOT NULL" } else { "" };
        elements.push(format!("{} {sql_type}{null}", quote(name)));
        if let Some(place) = place.as_deref().and_then(|place| place.parse::<i64>().ok()) {
            key.push((place, quote(name)));
        }
    }
    key.sort_unstable();
    if !key.is_empty() {
        let columns: Vec<_> = key.into_iter().map(|(_, name)| name).collect();
        elements.push(format!("PRIMARY KEY ({})", columns.join(", ")));
    }
    let relation = format!("{}.{}", quote(schema), quote(table));
    Ok(format!("CREATE TABLE {relation} ({}) {distribution}", elements.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(sql: &str) -> Option<ShardFunction> {
        let StatementKind::Query(query) = &parse(sql).unwrap()[0].kind else { panic!("{sql}") };
        ShardFunction::of(query)
    }

    #[test]
    fn functions_are_the_whole_of_a_statement() {
        let check = ShardFunction::CheckDistribution { table: "s.t".into() };
        assert_eq!(function("SELECT kestrel.check_distribution('s.t')"), Some(check));
        let adopt = ShardFunction::AdoptTable {
            table: "t".into(),
            distribution: "DISTRIBUTED BY (a)".into(),
        };
        assert_eq!(function("SELECT kestrel.adopt_table('t', 'DISTRIBUTED BY (a)')"), Some(adopt));
        for other in [
            "SELECT kestrel.check_distribution(7)",
            "SELECT kestrel.check_distribution('t') FROM u",
            "SELECT check_distribution('t')",
            "SELECT 1, kestrel.check_distribution('t')",
        ] {
            assert_eq!(function(other), None, "{other}");
        }
    }

    #[test]
    fn a_table_is_adopted_as_all_databases_have_it() {
        let column = |name: &str, sql_type: &str, not_null: &str, place: Option<&str>| {
            vec![
                Some(name.to_string()),
                Some(sql_type.to_string()),
                Some(not_null.to_string()),
                place.map(Into::into),
            ]
        };
        let rows = vec![
            column("a", "integer", "t", Some("1")),
            column("B", "character varying(7)", "f", None),
        ];
        let answer = |id, rows: &[Vec<Option<String>>]| {
            (DatanodeId(id), ShardRows { columns: Vec::new(), rows: rows.to_vec() })
        };
        let made = |answers: &[_]| create_statement("s", "t", "DISTRIBUTED BY (a)", answers);
        assert_eq!(
            made(&[answer(0, &rows), answer(1, &rows)]).unwrap(),
            "CREATE TABLE s.t (a integer NOT NULL, \"B\" character varying(7), PRIMARY KEY (a)) \
             DISTRIBUTED BY (a)"
        );
        let missing = made(&[answer(0, &rows), answer(1, &[])]).unwrap_err();
        assert_eq!(missing.sqlstate, SqlState::UNDEFINED_TABLE);
        let different = made(&[answer(0, &rows), answer(1, &rows[..1])]).unwrap_err();
        assert_eq!(different.sqlstate, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    }
}
