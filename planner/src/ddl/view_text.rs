//! A view's query as SQL of now: its tables under the names that they have by now, and with schemas
//! where a search path does not find them (what PostgreSQL's `pg_get_viewdef` prints, ruleutils.c).
//!
//! What was written stays, with its blanks and comments; only names of tables change. One that has
//! got another name keeps the old one as an alias. One whose columns have changed so that the text
//! would mean something else is read through a subquery that gives the columns their old names:
//!
//! ```text
//! SELECT a FROM t        =>  SELECT a FROM s.u AS t
//! SELECT a FROM t        =>  SELECT a FROM (SELECT x AS a, b FROM s.t) AS t
//! ```

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{
        Expr, Ident, JoinConstraint, ObjectName, Query, Select, SelectItem,
        SelectItemQualifiedWildcardKind, SetExpr, Spanned, TableFactor, TableWithJoins, Visitor,
    },
    tokenizer::Location,
};

use super::create_view::{Used, constraint};
use crate::{
    bind::top_level_names,
    catalog::{Catalog, ColumnDef, ViewColumn, ViewDef, ViewRelation, find_relation},
    parse::{QualifiedName, Statement, StatementKind, Walk, fold_ident, parse, quote},
};

/// The query, as it would be written where names are looked up in `search_path`. A text that cannot
/// be changed so is given as it was written.
pub fn view_text(view: &ViewDef, catalog: &Catalog, search_path: &[String]) -> String {
    current(view, catalog, search_path).unwrap_or_else(|| view.query.clone())
}

fn current(view: &ViewDef, catalog: &Catalog, search_path: &[String]) -> Option<String> {
    let statement = parse(&view.query).ok()?.into_iter().next()?;
    let StatementKind::Query(query) = &statement.kind else { return None };
    let mut places = Places { view, scopes: Vec::new(), tables: Vec::new(), prefixes: Vec::new() };
    let _ = query.walk(&mut places);
    let used = Used::by(query);
    let mut edits = Vec::new();
    for table in &places.tables {
        let named = Named::now(table.relation, catalog, search_path)?;
        let written = named.written(table, &used);
        edits.push(Edit::new(&statement, (table.start, table.end), written)?);
    }
    for (start, end) in &places.prefixes {
        edits.push(Edit::new(&statement, (*start, *end), String::new())?);
    }
    let mut text = edited(&view.query, edits);
    let names: Vec<_> = view.columns.iter().map(|column| column.name.as_str()).collect();
    if output_names(query, view).is_none_or(|own| own != names) {
        let columns: Vec<_> = names.into_iter().map(quote).collect();
        // The text may end with a comment.
        text = format!("SELECT * FROM ({text}\n) AS {}({})", quote(&view.name), columns.join(", "));
    }
    let read = parse(&text).ok()?;
    (read.len() == 1).then_some(text)
}

/// What a place in the text becomes.
struct Edit {
    /// Characters from the start of the text.
    start: usize,
    end: usize,
    text: String,
}

impl Edit {
    fn new(
        statement: &Statement,
        (start, end): (Location, Location),
        text: String,
    ) -> Option<Self> {
        let at = |place| usize::try_from(statement.position(place)?).ok()?.checked_sub(1);
        Some(Self { start: at(start)?, end: at(end)?, text })
    }
}

fn edited(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.start);
    let mut result = String::with_capacity(text.len());
    let mut at = 0;
    for edit in edits {
        let between = edit.start.saturating_sub(at);
        result.extend(text.chars().skip(at).take(between));
        result.push_str(&edit.text);
        at = edit.end;
    }
    result.extend(text.chars().skip(at));
    result
}

/// A relation as it is now.
struct Named<'a> {
    name: &'a str,
    /// The name, with the schema if it must be there.
    shown: String,
    columns: &'a [ColumnDef],
}

impl<'a> Named<'a> {
    fn now(relation: &ViewRelation, catalog: &'a Catalog, search_path: &[String]) -> Option<Self> {
        let id = relation.named.id;
        let (schema, name) = match (catalog.table_by_id(id), catalog.view_by_id(id)) {
            (Some(table), _) => (&table.schema_name, &table.name),
            (None, view) => view.map(|view| (&view.schema_name, &view.name))?,
        };
        let bare = QualifiedName { schema: None, name: name.clone(), position: None };
        let is_found = find_relation(catalog, search_path, &bare).is_some_and(|f| f.id() == id);
        let shown = match is_found {
            true => quote(name),
            false => format!("{}.{}", quote(schema), quote(name)),
        };
        Some(Self { name, shown, columns: catalog.columns_by_id(id)? })
    }

    /// What stands for it in the text.
    fn written(&self, table: &TablePlace<'_>, used: &Used) -> String {
        let known = table.relation;
        let alias = |needed: bool| match needed && !table.has_alias {
            true => format!(" AS {}", quote(&known.named.name)),
            false => String::new(),
        };
        if self.means_the_same(known, used) {
            return format!("{}{}", self.shown, alias(self.name != known.named.name));
        }
        let column = |old: &ViewColumn| {
            let now = self.columns.iter().find(|column| column.id == old.id)?;
            Some(match now.name == old.name {
                true => quote(&old.name),
                false => format!("{} AS {}", quote(&now.name), quote(&old.name)),
            })
        };
        let columns: Vec<_> = known.columns.iter().filter_map(column).collect();
        format!("(SELECT {} FROM {}){}", columns.join(", "), self.shown, alias(true))
    }

    /// Are the columns that the query may mean still under their names, and no others?
    fn means_the_same(&self, known: &ViewRelation, used: &Used) -> bool {
        let then = |name: &str| known.columns.iter().find(|c| c.name == name).map(|c| c.id);
        let now = |name: &str| self.columns.iter().find(|c| c.name == name).map(|c| c.id);
        let all_then = known.columns.iter().map(|c| (c.id, c.name.as_str()));
        let all_now = self.columns.iter().map(|c| (c.id, c.name.as_str()));
        match used.all {
            true => all_then.eq(all_now),
            false => used.names.iter().all(|name| then(name) == now(name)),
        }
    }
}

/// Where a text names a table or view of the catalog, to read it.
struct TablePlace<'a> {
    start: Location,
    end: Location,
    relation: &'a ViewRelation,
    has_alias: bool,
}

/// All such places, and the schemas in front of tables' names that columns are qualified by.
struct Places<'a> {
    view: &'a ViewDef,
    scopes: Vec<Scope>,
    tables: Vec<TablePlace<'a>>,
    prefixes: Vec<(Location, Location)>,
}

/// The CTEs of a query. They are walked first, in order, and each is known to the later ones and to
/// the query's body.
#[derive(Default)]
struct Scope {
    names: Vec<String>,
    known: usize,
}

impl<'a> Places<'a> {
    fn is_cte(&self, name: &QualifiedName) -> bool {
        let mut known = self.scopes.iter().flat_map(|scope| scope.names.iter().take(scope.known));
        name.schema.is_none() && known.any(|known| *known == name.name)
    }

    /// `s.` of `s.t.a`, since what stands for `s.t` may have another schema. Where tables of two
    /// schemas have one name, it is needed.
    fn note_prefix(&mut self, parts: &[&Ident]) {
        let [schema, table, ..] = parts else { return };
        let (schema_name, name) = (fold_ident(schema), fold_ident(table));
        let mut same = self.view.relations.iter().filter(|relation| relation.named.name == name);
        if self.view.relation(Some(&schema_name), &name).is_some() && same.nth(1).is_none() {
            self.prefixes.push((schema.span.start, table.span.start));
        }
    }
}

impl Visitor for Places<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let scope = query.with.as_ref().map(|with| {
            let names: Vec<_> = with.cte_tables.iter().map(|c| fold_ident(&c.alias.name)).collect();
            Scope { known: if with.recursive { names.len() } else { 0 }, names }
        });
        self.scopes.push(scope.unwrap_or_default());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.scopes.pop();
        if let Some(scope) = self.scopes.last_mut() {
            scope.known = (scope.known + 1).min(scope.names.len());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, alias, args: None, .. } = factor else {
            return ControlFlow::Continue(());
        };
        if let Ok(named) = QualifiedName::of_ast(name)
            && !self.is_cte(&named)
            && let Some(relation) = self.view.relation(named.schema.as_deref(), &named.name)
        {
            let span = name.span();
            let has_alias = alias.is_some();
            self.tables.push(TablePlace { start: span.start, end: span.end, relation, has_alias });
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            if let SelectItem::QualifiedWildcard(
                SelectItemQualifiedWildcardKind::ObjectName(name),
                _,
            ) = item
            {
                self.note_prefix(&idents(name));
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(parts) = expr
            && parts.len() > 2
        {
            self.note_prefix(&parts.iter().collect::<Vec<_>>());
        }
        ControlFlow::Continue(())
    }
}

fn idents(name: &ObjectName) -> Vec<&Ident> {
    name.0.iter().filter_map(|part| part.as_ident()).collect()
}

/// What the query calls its columns; `None`: the syntax alone does not tell.
fn output_names(query: &Query, view: &ViewDef) -> Option<Vec<String>> {
    match query.body.as_ref() {
        // A wildcard may stand for a CTE's columns.
        body if query.with.is_some() => top_level_names(body).into_iter().collect(),
        body => names_of(body, view),
    }
}

fn names_of(body: &SetExpr, view: &ViewDef) -> Option<Vec<String>> {
    let select = match body {
        SetExpr::Select(select) => select,
        SetExpr::SetOperation { left, .. } => return names_of(left, view),
        SetExpr::Query(query) => return output_names(query, view),
        SetExpr::Values(values) => {
            let width = values.rows.first()?.content.len();
            return Some((1..=width).map(|at| format!("column{at}")).collect());
        }
        _ => return None,
    };
    let mut names = Vec::new();
    for (item, name) in select.projection.iter().zip(top_level_names(body)) {
        match (item, name) {
            (_, Some(name)) => names.push(name),
            (SelectItem::Wildcard(_), None) => {
                for from in &select.from {
                    names.extend(columns_of(from, view)?);
                }
            }
            (
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(of), _),
                None,
            ) => {
                let of = QualifiedName::of_ast(of).ok().filter(|of| of.schema.is_none())?;
                let factors = select.from.iter().flat_map(factors);
                let mut known = factors.filter_map(|factor| factor_columns(factor, view));
                names.extend(known.find(|(name, _)| *name == of.name)?.1);
            }
            (_, None) => return None,
        }
    }
    Some(names)
}

/// What `*` stands for.
fn columns_of(from: &TableWithJoins, view: &ViewDef) -> Option<Vec<String>> {
    let merges =
        |join| matches!(constraint(join), Some(JoinConstraint::Natural | JoinConstraint::Using(_)));
    if from.joins.iter().any(merges) {
        return None;
    }
    let mut names = Vec::new();
    for factor in factors(from) {
        names.extend(factor_columns(factor, view)?.1);
    }
    Some(names)
}

fn factors(from: &TableWithJoins) -> impl Iterator<Item = &TableFactor> {
    std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation))
}

/// A table or view of the catalog: what its columns are qualified by, and their names.
fn factor_columns(factor: &TableFactor, view: &ViewDef) -> Option<(String, Vec<String>)> {
    let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
    if alias.as_ref().is_some_and(|alias| !alias.columns.is_empty()) {
        return None;
    }
    let named = QualifiedName::of_ast(name).ok()?;
    let relation = view.relation(named.schema.as_deref(), &named.name)?;
    let columns = relation.columns.iter().map(|column| column.name.clone()).collect();
    Some((alias.as_ref().map_or(named.name, |alias| fold_ident(&alias.name)), columns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{NamedRelation, SqlType},
        ddl,
        parse::CreateView,
    };

    const TABLES: &str = "
        CREATE SCHEMA s;
        CREATE TABLE s.t (a int, b int, \"C d\" int) DISTRIBUTED BY (a);
        CREATE TABLE public.u (a int, k int) DISTRIBUTED BY (a)";

    fn after(catalog: &Catalog, sql: &str) -> Catalog {
        let statements = parse(sql).unwrap().into_iter();
        let statements = statements.filter(|statement| statement.kind != StatementKind::Empty);
        statements.fold(catalog.clone(), |catalog, statement| {
            let StatementKind::Ddl(ddl) = statement.kind else { panic!("no DDL: {sql}") };
            let path = ["s".to_string(), "public".into()];
            let changes = ddl::plan(&ddl, &catalog, &path).unwrap().changes;
            catalog.apply(&changes).unwrap()
        })
    }

    /// Creates a view of these columns, named in the text after `path`; `names`: what its text reads.
    fn view(catalog: &Catalog, create: &CreateView, columns: &[&str], names: &[&str]) -> Catalog {
        let path = ["s".to_string(), "public".into()];
        let named = |text: &&str| {
            let (schema, name) = text.split_once('.').map_or((None, *text), |(s, n)| (Some(s), n));
            let schema = schema.map(str::to_string);
            let name = QualifiedName { schema, name: name.into(), position: None };
            let id = find_relation(catalog, &path, &name).unwrap().id();
            NamedRelation { schema: name.schema, name: name.name, id }
        };
        let relations: Vec<_> = names.iter().map(named).collect();
        let columns: Vec<_> =
            columns.iter().map(|name| (name.to_string(), SqlType::Integer)).collect();
        let plan = ddl::create_view(create, &columns, &relations, catalog, &path).unwrap();
        catalog.apply(&plan.changes).unwrap()
    }

    /// Checks what a view `v` of a query is after `ddl`, where names are looked up in `public`.
    fn check((query, columns, names): (&str, &[&str], &[&str]), ddl: &str, expected: &str) {
        let catalog = after(&Catalog::empty(), TABLES);
        let create = parse(&format!("CREATE VIEW public.v AS {query}")).unwrap().remove(0).kind;
        let StatementKind::CreateView(create) = create else { panic!("no view: {query}") };
        let catalog = view(&catalog, &create, columns, names);
        let catalog = after(&catalog, ddl);
        let view = catalog.view("public", "v").unwrap();
        assert_eq!(view_text(view, &catalog, &["public".into()]), expected, "{query}\n{ddl}");
    }

    #[test]
    fn names_have_schemas_where_they_must() {
        let both = &["s.t", "u"];
        for (query, columns, names, expected) in [
            ("SELECT a FROM t", &["a"][..], &["t"][..], "SELECT a FROM s.t"),
            ("SELECT  a -- é\nFROM public . u", &["a"], &["public.u"], "SELECT  a -- é\nFROM u"),
            ("SELECT s.t.a FROM s.t, u x", &["a"], both, "SELECT t.a FROM s.t, u x"),
            ("SELECT \"t\".b FROM \"t\"", &["b"], &["t"], "SELECT \"t\".b FROM s.t"),
            (
                "WITH t AS (SELECT a FROM t) SELECT a FROM t",
                &["a"],
                &["t"],
                "WITH t AS (SELECT a FROM s.t) SELECT a FROM t",
            ),
            (
                "SELECT a FROM u WHERE a IN (SELECT a FROM t UNION SELECT k FROM u)",
                &["a"],
                &["t", "u"],
                "SELECT a FROM u WHERE a IN (SELECT a FROM s.t UNION SELECT k FROM u)",
            ),
            ("SELECT * FROM t", &["a", "b", "C d"], &["t"], "SELECT * FROM s.t"),
            ("SELECT x.* FROM t x", &["a", "b", "C d"], &["t"], "SELECT x.* FROM s.t x"),
            ("SELECT count(*) FROM t", &["count"], &["t"], "SELECT count(*) FROM s.t"),
            ("VALUES (1, 2)", &["column1", "column2"], &[], "VALUES (1, 2)"),
        ] {
            check((query, columns, names), "", expected);
        }
    }

    #[test]
    fn what_was_renamed_is_read_under_its_old_name() {
        let all: &[&str] = &["a", "b", "C d"];
        for (query, columns, ddl, expected) in [
            (
                "SELECT t.a FROM t",
                &["a"][..],
                "ALTER TABLE s.t RENAME TO n",
                "SELECT t.a FROM s.n AS t",
            ),
            ("SELECT x.a FROM t x", &["a"], "ALTER TABLE s.t RENAME TO n", "SELECT x.a FROM s.n x"),
            ("SELECT a FROM t", &["a"], "ALTER TABLE s.t SET SCHEMA public", "SELECT a FROM t"),
            // The query has no use for it.
            ("SELECT a FROM t", &["a"], "ALTER TABLE s.t RENAME b TO n", "SELECT a FROM s.t"),
            ("SELECT a FROM t", &["a"], "ALTER TABLE s.t ADD COLUMN n int", "SELECT a FROM s.t"),
            (
                "SELECT a FROM t",
                &["a"],
                "ALTER TABLE s.t RENAME a TO \"N\"",
                "SELECT a FROM (SELECT \"N\" AS a, b, \"C d\" FROM s.t) AS t",
            ),
            (
                "SELECT a FROM t AS x",
                &["a"],
                "ALTER TABLE s.t RENAME a TO n; ALTER TABLE s.t RENAME b TO a",
                "SELECT a FROM (SELECT n AS a, a AS b, \"C d\" FROM s.t) AS x",
            ),
            (
                "SELECT * FROM t",
                all,
                "ALTER TABLE s.t ADD COLUMN n int",
                "SELECT * FROM (SELECT a, b, \"C d\" FROM s.t) AS t",
            ),
        ] {
            check((query, columns, &["t"]), ddl, expected);
        }
    }

    #[test]
    fn a_views_own_names_are_given_to_its_columns() {
        check(
            ("SELECT a, b FROM t", &["x", "b"], &["t"]),
            "",
            "SELECT * FROM (SELECT a, b FROM s.t\n) AS v(x, b)",
        );
        check(
            ("SELECT a, b FROM t", &["a", "b"], &["t"]),
            "ALTER VIEW public.v RENAME COLUMN b TO \"order\"",
            "SELECT * FROM (SELECT a, b FROM s.t\n) AS v(a, \"order\")",
        );
    }
}
